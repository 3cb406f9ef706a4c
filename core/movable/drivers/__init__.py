"""Drivers that come with the core because recordings need them."""
