"""The service over HTTP: the Python API as routes, the videos themselves, and the page to search them."""

from framecue.service.app import create_app
from framecue.service.settings import ServiceSettings

__all__ = ["ServiceSettings", "create_app"]
