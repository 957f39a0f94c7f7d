"""Frames in the samples that their source holds: bits, light, alpha, and the codecs and pictures that keep them."""
