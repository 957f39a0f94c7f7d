"""The nodes of voin for ComfyUI, which finds them by the two names below; importable without ComfyUI.

Its folder goes into (or is linked from) ComfyUI's `custom_nodes`.
"""

from .nodes import NODES

NODE_CLASS_MAPPINGS = {f"Voin{node.__name__}": node for node in NODES}
NODE_DISPLAY_NAME_MAPPINGS = {f"Voin{node.__name__}": node.TITLE for node in NODES}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
