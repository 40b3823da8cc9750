"""Views of results in a notebook; open the module that you need."""
