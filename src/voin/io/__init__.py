"""Files of users: videos, pictures, masks, cuts. Nothing here knows the method."""
