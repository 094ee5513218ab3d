"""A service whose answer is sent when it is there, from any thread, so that no executor thread waits for it.

In: a service type and `serve(request, reply)`; `reply(response)` may be called at any later time, once. rclpy answers
with what the callback returns, at once; here the callback returns a placeholder, and sending it only notes where the
answer goes.
"""

from __future__ import annotations

import threading


class _Reply:
    """A response to come. Meets its header (from rclpy) and its value (from the server) in either order."""

    def __init__(self, send):
        self._send = send
        self._lock = threading.Lock()
        self._header = self._response = None

    def address(self, header):
        self._put("_header", header)

    def __call__(self, response):
        self._put("_response", response)

    def _put(self, name, value):
        with self._lock:
            setattr(self, name, value)
            ready = self._header is not None and self._response is not None
        if ready:
            self._send(self._response, self._header)


def create_deferred_service(node, service_type, name: str, serve, **options):
    """Creates the service on `node`; `serve(request, reply)` must return soon."""

    def callback(request, _response):
        reply = _Reply(send)
        serve(request, reply)
        return reply

    service = node.create_service(service_type, name, callback, **options)
    send = service.send_response
    service.send_response = lambda reply, header: reply.address(header)
    return service
