"""Who asks for help."""
