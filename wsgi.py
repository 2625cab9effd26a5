"""What gunicorn and the flask command load."""

from omnidesk import create_app

app = create_app()
