"""A client of the endpoint, over httpx: `pip install 'braidstream[client]'`.

Answers are typed. What the endpoint refuses for the moment (429 and 503) is asked again after the
pause that it asks for, and so is what never reached it; what else goes wrong is an error that
carries the endpoint's own words.
"""

from importlib.util import find_spec

from stream.errors import MissingExtra

if find_spec("httpx") is None:
    raise MissingExtra("the client", "client")

from stream.client.answers import Exemplar, Explanation, Reason, Scored, Tagged
from stream.client.client import AsyncClient, Client
from stream.client.trying import ClientError

__all__ = [
    "AsyncClient", "Client", "ClientError", "Exemplar", "Explanation", "Reason", "Scored",
    "Tagged",
]  # fmt: skip
