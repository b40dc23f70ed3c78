"""odbench: which object-detection model should we use, on our data and our hardware?"""

__version__ = "0.1.0"
