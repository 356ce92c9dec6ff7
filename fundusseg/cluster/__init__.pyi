from .resources import Resources as Resources
