"""The operator's load test: `python -m consult load-test`. Speaks to an installation from outside, as browsers do.

It shares nothing with the rooms but the shape of a Seat: STUN, DTLS, SRTP, SDP and the messages of docs/protocol.md are
written here once more, small, so that a mistake of the server is not repeated by what tests it, and so that one core
can play a hundred people.
"""
