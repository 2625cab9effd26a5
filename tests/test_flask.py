"""Hooks, error handlers, signals, sessions and extensions work as Flask's manual says."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import flask
import pytest
from flask import Flask, Response, g
from sqlalchemy.exc import OperationalError

from omnidesk.http import Blueprint
from tests.conftest import PASSWORD, Caller, on_sqlite
from tests.security.test_matrix import MATRIX

pytestmark = on_sqlite  # Flask knows no database
ROUTES = [row.route.replace("/tags/*", "/tags/vip").replace("*", "1") for row in MATRIX]
# A route that answers each of these, without a token.
ANSWERS = {200: "/healthz", 401: "/api/summary", 404: "/api/tickets/424242", 500: "/broken"}


@pytest.fixture
def flask_app(app_with: Callable[..., Flask]) -> Flask:
    """An app of the test's own, with a route that raises an error that nobody handles."""
    app = app_with(TESTING=False, SECRET_KEY="a key for cookies, of this test's own")
    app.add_url_rule("/broken", "broken", lambda: str(1 / 0))
    return app


def serve(app: Flask, view: Callable[..., Any]) -> Any:
    """Return the response of a view that is added to the app as `/extra`."""
    app.add_url_rule("/extra", "extra", view)
    return Caller(app).get("/extra")


def test_a_guard_of_the_app_is_asked_before_every_route(flask_app: Flask) -> None:
    flask_app.before_request(lambda: ({"detail": "Closed for maintenance"}, 503))
    caller, answers = Caller(flask_app), {}

    for route in ROUTES:
        method, _, path = route.partition(" ")
        answers[route] = getattr(caller, method.lower())(path)

    for route, answer in answers.items():
        assert (answer.status_code, answer.json) == (503, {"detail": "Closed for maintenance"}), (
            route
        )


def test_a_guard_of_a_flask_blueprint_is_asked_before_its_own_routes(flask_app: Flask) -> None:
    extra = flask.Blueprint("extra", __name__)
    extra.before_request(lambda: flask.abort(403))
    extra.add_url_rule("/extra", view_func=lambda: "let in")
    flask_app.register_blueprint(extra)
    caller = Caller(flask_app)

    assert caller.get("/extra").status_code == 403
    assert caller.get("/healthz").status_code == 200


def test_a_route_may_be_added_to_our_blueprint_by_arguments(flask_app: Flask) -> None:
    things = Blueprint("things")
    things.add_url_rule("/things", view_func=things.public(lambda: "let in"), methods=["GET"])
    flask_app.register_blueprint(things, url_prefix="")

    assert Caller(flask_app).get("/things").text == "let in"


def test_a_guard_of_our_blueprint_is_asked_after_the_token(flask_app: Flask) -> None:
    things = Blueprint("things")
    things.before_request(lambda: ({"detail": f"Not user {g.user}"}, 403))

    @things.get("/things")
    @things.public
    def show() -> str:
        return "let in"

    @things.get("/secrets")
    def tell() -> str:
        return "let in"

    flask_app.register_blueprint(things)
    caller = Caller(flask_app)

    assert caller.get("/api/things").json == {"detail": "Not user None"}
    assert caller.get("/api/secrets").status_code == 401


@pytest.mark.parametrize(("status", "path"), ANSWERS.items())
def test_what_runs_after_a_request_sees_and_changes_every_response(
    flask_app: Flask, status: int, path: str
) -> None:
    seen = []

    @flask_app.after_request
    def change(response: Response) -> Response:
        seen.append(response.status_code)
        response.headers["X-Changed"] = "yes"
        return response

    answer = Caller(flask_app).get(path)

    assert seen == [answer.status_code] == [status]
    assert answer.headers["X-Changed"] == "yes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff", "the app's own hook ran, too"


@pytest.mark.parametrize("write", [str, str.lower], ids=["usual", "lower"])
def test_a_header_that_the_app_sets_stays_as_it_is(
    flask_app: Flask, write: Callable[[str], str]
) -> None:
    ours = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'self'",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "none",
        "X-Request-ID": "of-another-extension",
    }

    @flask_app.after_request
    def change(response: Response) -> Response:
        for name, value in ours.items():
            response.headers[write(name)] = value
        response.headers[write("Vary")] = "Cookie"
        return response

    answer = Caller(flask_app).get("/api/tickets")

    assert {name: answer.headers.getlist(name) for name in ours} == {
        name: [value] for name, value in ours.items()
    }
    assert answer.headers.getlist("Vary") == ["Cookie, Authorization, Origin"]


def test_what_a_blueprint_runs_after_a_request_sees_its_responses_alone(flask_app: Flask) -> None:
    extra, seen = flask.Blueprint("extra", __name__), []

    @extra.after_request
    def change(response: Response) -> Response:
        seen.append(flask.request.path)
        response.status_code = 418
        return response

    extra.add_url_rule("/extra", view_func=lambda: "coffee")
    flask_app.register_blueprint(extra)
    flask_app.after_request_funcs.setdefault("tickets", []).append(change)
    caller = Caller(flask_app)
    answers = [caller.get(path) for path in ("/extra", "/healthz", "/api/tickets")]

    assert [answer.status_code for answer in answers] == [418, 200, 418]
    assert seen == ["/extra", "/api/tickets"]


def test_what_is_registered_for_one_response_runs_after_it(flask_app: Flask) -> None:
    @flask_app.before_request
    def later() -> None:
        @flask.after_this_request
        def mark(response: Response) -> Response:
            response.headers["X-Changed"] = "yes"
            return response

    assert Caller(flask_app).get("/api/tickets").headers["X-Changed"] == "yes"


@pytest.mark.parametrize(("status", "path"), ANSWERS.items())
def test_what_tears_a_request_down_runs_after_each(
    flask_app: Flask, status: int, path: str
) -> None:
    ended: list[BaseException | None] = []
    flask_app.teardown_request(ended.append)

    assert Caller(flask_app).get(path).status_code == status

    assert len(ended) == 1
    assert isinstance(ended[0], ZeroDivisionError) == (status == 500)


class OutOfStockError(Exception):
    """An error of somebody else's."""


def test_an_error_handler_of_the_app_answers_its_error(flask_app: Flask) -> None:
    def sell() -> None:
        raise OutOfStockError("chairs")

    flask_app.register_error_handler(404, lambda _: ("Look elsewhere", 404))
    flask_app.register_error_handler(OutOfStockError, lambda error: (f"No {error} left", 409))

    sold = serve(flask_app, sell)
    missing = [Caller(flask_app).get(path) for path in ("/nothing", "/api/tickets/424242")]

    assert (sold.status_code, sold.text) == (409, "No chairs left")
    assert [(answer.status_code, answer.text) for answer in missing] == [
        (404, "Look elsewhere")
    ] * 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (409, {"username": "Emp1", "full_name": "Somebody Else", "password": PASSWORD}),
        (400, {"username": "a", "full_name": "Somebody Else", "password": PASSWORD}),
    ],
)
def test_a_handler_of_a_status_answers_what_the_database_and_schemas_refuse(
    flask_app: Flask, admin: Caller, agent: Caller, status: int, body: dict[str, str]
) -> None:
    flask_app.register_error_handler(status, lambda error: (f"No: {error.errors}", status))

    refused = Caller(flask_app, admin.user).post("/api/users", json=body)

    assert (refused.status_code, refused.text[:15]) == (status, "No: {'username'")


def test_a_handler_of_503_answers_while_the_database_is_away(flask_app: Flask) -> None:
    def fail() -> None:
        raise OperationalError("SELECT 1", None, Exception("it is away"))

    flask_app.register_error_handler(503, lambda _: ("Back soon", 503))

    assert serve(flask_app, fail).text == "Back soon"


def test_signals_are_sent(flask_app: Flask) -> None:
    sent: list[str] = []

    @contextmanager
    def listening(name: str) -> Iterator[None]:
        def receive(_sender: Flask, **_: Any) -> None:
            sent.append(name)

        with getattr(flask, name).connected_to(receive, flask_app):
            yield

    names = ("request_started", "request_finished", "got_request_exception")
    with listening(names[0]), listening(names[1]), listening(names[2]):
        Caller(flask_app).get("/api/tickets")
        after_a_list = sent.copy()
        Caller(flask_app).get("/broken")

    assert after_a_list == ["request_started", "request_finished"]
    assert sent[2:] == ["request_started", "got_request_exception", "request_finished"]


def test_g_lasts_for_one_request(flask_app: Flask) -> None:
    def count() -> str:
        g.count = g.get("count", 0) + 1
        return str(g.count)

    flask_app.before_request(lambda: count() and None)
    serve(flask_app, count)

    assert Caller(flask_app).get("/extra").text == "2", "once before the view and once in it"


def test_a_session_is_kept_in_a_signed_cookie(flask_app: Flask) -> None:
    def visit() -> str:
        flask.session["visits"] = flask.session.get("visits", 0) + 1
        return str(flask.session["visits"])

    flask_app.add_url_rule("/extra", view_func=visit)
    browser = flask_app.test_client()

    assert [browser.get("/extra").text for _ in range(3)] == ["1", "2", "3"]
    assert flask_app.test_client().get("/extra").text == "1"


def test_no_response_of_ours_sets_a_cookie(flask_app: Flask) -> None:
    assert "Set-Cookie" not in Caller(flask_app).get("/api/tickets").headers


def test_a_stream_keeps_its_request(flask_app: Flask) -> None:
    def parts() -> Iterator[str]:
        yield from ("of ", flask.request.args["name"])

    def view() -> Response:
        return Response(flask.stream_with_context(parts()), mimetype="text/csv")

    flask_app.add_url_rule("/extra", "extra", view)
    answer = Caller(flask_app).get("/extra?name=Ada")

    assert (answer.text, answer.mimetype) == ("of Ada", "text/csv")


def test_a_view_makes_its_response(flask_app: Flask) -> None:
    def view() -> Response:
        response = flask.make_response("made", 202, {"X-Made": "yes"})
        response.set_cookie("name", "Ada")
        return response

    answer = serve(flask_app, view)

    assert (answer.status_code, answer.text, answer.headers["X-Made"]) == (202, "made", "yes")
    assert answer.headers["Set-Cookie"].startswith("name=Ada;")


def test_jsonify_writes_what_flask_can(flask_app: Flask) -> None:
    answer = serve(flask_app, lambda: flask.jsonify(sum=Decimal("1.10"), day=date(2025, 11, 1)))

    assert answer.json == {"sum": "1.10", "day": "Sat, 01 Nov 2025 00:00:00 GMT"}


def test_a_route_may_be_for_websockets(flask_app: Flask) -> None:
    flask_app.add_url_rule("/extra", "extra", lambda: "upgraded", websocket=True)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}

    assert Caller(flask_app).get("/extra", headers=upgrade).text == "upgraded"


class RequestMetrics:
    """An extension as others write them: it counts requests and adds a header."""

    def __init__(self) -> None:
        self.started, self.ended = 0, 0
        self.answers: Counter[tuple[str | None, int]] = Counter()

    def init_app(self, app: Flask) -> None:
        """Register the hooks and a route."""
        app.extensions["request-metrics"] = self
        app.before_request(self.start)
        app.after_request(self.count)
        app.teardown_request(self.end)
        app.add_url_rule("/metrics", "metrics", lambda: {"started": self.started})

    def start(self) -> None:
        """Note that a request has begun."""
        self.started += 1
        g.metrics = {"began": True}

    def count(self, response: Response) -> Response:
        """Count the response by endpoint and status."""
        self.answers[flask.request.endpoint, response.status_code] += 1
        response.headers["Content-Security-Policy"] = "default-src 'self'"
        assert g.metrics == {"began": True}
        return response

    def end(self, _error: BaseException | None) -> None:
        """Note that a request is over."""
        self.ended += 1


def test_an_extension_with_hooks_sees_every_request(flask_app: Flask) -> None:
    metrics, caller = RequestMetrics(), Caller(flask_app)
    metrics.init_app(flask_app)

    answers = [caller.get(path) for path in (*ANSWERS.values(), "/api/tickets", "/nothing")]

    assert metrics.answers == {
        ("health.live", 200): 1,
        ("summary.get_summary", 401): 1,
        ("tickets.get_ticket", 404): 1,
        ("broken", 500): 1,
        ("tickets.list_tickets", 200): 1,
        (None, 404): 1,
    }
    for answer in answers:
        assert answer.headers["Content-Security-Policy"] == "default-src 'self'"
    assert metrics.ended == len(answers)
    assert caller.get("/metrics").json == {"started": len(answers) + 1}
