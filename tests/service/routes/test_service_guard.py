"""Who may ask, and what every answer says to browsers."""

import json
import logging

import pytest
from routes_help import TOKEN, error_of

from framecue.errors import UsageError
from framecue.service.app import create_app
from framecue.service.guard import COOKIE, checked_token, read_token

CLOSED = ("/api/status", "/api/search?q=a", "/api/videos", "/metrics", "/docs", "/openapi.json", "/media/" + "0" * 64)


@pytest.fixture
def guarded(connect, painted_index, tmp_path):
    return connect(painted_index, token=TOKEN, url="http://films.example:8000", cache_folder=tmp_path / "cache")


@pytest.mark.parametrize("path", CLOSED)
def test_strangers_are_refused(guarded, path):
    answer = guarded.get(path)
    error_of(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_strangers_cannot_upload(guarded):
    error_of(guarded.post("/api/classify", files={"file": ("a.mp4", b"x")}), 401)


def test_what_is_open(guarded):
    assert guarded.get("/health").json() == {"status": "ok"}
    page = guarded.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert guarded.get("/static/style.css").headers["content-type"] == "text/css; charset=utf-8"


def test_a_bearer_token_lets_in(guarded):
    assert guarded.get("/api/status", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert guarded.get("/api/status", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer \xff".encode("latin-1")},
        {"Authorization": TOKEN},
        {"Cookie": f"{COOKIE}=other"},
        {"Cookie": "\xff=;;=,".encode("latin-1")},
        {"Cookie": f"other={TOKEN}"},
    ],
)
def test_another_token_does_not(guarded, headers):
    error_of(guarded.get("/api/status", headers=headers), 401)


@pytest.mark.parametrize("other", ['prefs={"a": 1, "b": [2]}', "=; stray", "]]=x", 'open="', "a=b=c", ""])
def test_cookies_of_other_servers_on_the_machine_do_no_harm(guarded, other):
    """Browsers send a host's cookies to all its ports."""
    for cookies in (f"{other}; {COOKIE}={TOKEN}", f"{COOKIE}={TOKEN}; {other}"):
        assert guarded.get("/api/status", headers={"Cookie": cookies}).status_code == 200


def test_the_token_in_the_address_becomes_a_cookie(guarded):
    answer = guarded.get("/", params={"token": TOKEN}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert guarded.get("/api/status").status_code == 200


def test_a_wrong_token_in_the_address_does_not(guarded):
    answer = guarded.get("/", params={"token": "wrong"}, follow_redirects=False)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    error_of(guarded.get("/api/status"), 401)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "127.0.0.2", "[::1]:8000", "LOCALHOST:1"])
def test_loopback_names_are_answered(client, host):
    assert client.get("/api/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "", "a@localhost"]
)
@pytest.mark.parametrize("path", ["/", "/health", "/api/status", "/static/style.css"])
def test_other_names_are_not(client, host, path):
    assert "Host" in error_of(client.get(path, headers={"Host": host}), 400)


def test_pages_from_elsewhere_cannot_ask(client, guarded):
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9", "http://["):
        error_of(client.get("/api/status", headers={"Origin": origin}), 403)
        error_of(client.post("/api/classify", json={}, headers={"Origin": origin}), 403)
    assert client.get("/api/status", headers={"Origin": "http://127.0.0.1"}).status_code == 200
    signed = {"Authorization": f"Bearer {TOKEN}", "Origin": "http://films.example:8000"}
    assert guarded.get("/api/status", headers=signed).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/static/style.css", "/api/status", "/api/nothing", "/docs", "/static/nothing.js"]
)
def test_security_headers_are_everywhere(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "cache-control" in headers


def test_refusals_have_security_headers_too(client):
    assert "content-security-policy" in client.get("/", headers={"Host": "evil.example"}).headers


@pytest.mark.parametrize(
    "token", ["short", "", "x" * 257, "with spaces in it all", "with;semicolon;in;it", "ümlaut-ümlaut-ümlaut"]
)
def test_tokens_that_are_none(token, painted_index, tmp_path):
    with pytest.raises(UsageError, match="16 to 256") as caught:
        checked_token(token, "The token")
    assert not token or token not in str(caught.value)


def test_token_files(tmp_path):
    path = tmp_path / "token.txt"
    path.write_text(f"  {TOKEN}\n")
    assert read_token(path) == TOKEN
    path.write_bytes(b"\xff" * 20)
    with pytest.raises(UsageError, match="16 to 256"):
        read_token(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_token(tmp_path / "none.txt")


def test_an_unfit_token_is_refused_when_the_app_is_made(painted_index):
    from framecue.api.collection import open_index

    with pytest.raises(UsageError, match="token"):
        create_app(open_index(painted_index, device="cpu"), token="short")


def test_docs_are_a_page_without_help_from_elsewhere(client):
    answer = client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "/api/search" in answer.text
    assert "SearchAnswer" in answer.text
    assert "<script" not in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text


def test_the_page_asks_nothing_from_elsewhere(client):
    page = client.get("/").text
    assert "https://" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_static_files_are_revalidated(client):
    first = client.get("/static/style.css")
    assert first.headers["cache-control"] == "private, no-cache"
    again = client.get("/static/style.css", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


def test_metrics_count(client):
    client.get("/api/search", params={"q": "a red square"})
    client.get("/api/search", params={"q": ""})
    client.get("/etc/passwd")
    text = client.get("/metrics").text
    assert 'framecue_requests_total{method="GET",route="/api/search",status="200"} 1.0' in text
    assert 'framecue_requests_total{method="GET",route="/api/search",status="422"} 1.0' in text
    assert 'framecue_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert 'framecue_request_seconds_count{route="/api/search"} 2.0' in text
    assert "framecue_index_videos 3.0" in text
    assert "passwd" not in text


def test_an_unforeseen_error_tells_the_log_and_not_the_client(own, connect, caplog):
    client = connect(own)
    own.index = None  # what nobody foresaw
    with caplog.at_level(logging.ERROR, "framecue.service"):
        answer = client.get("/api/videos")
    assert "nobody foresaw" in error_of(answer, 500)
    assert "AttributeError" not in answer.text
    assert "content-security-policy" in answer.headers
    assert "AttributeError" in caplog.text


def test_requests_are_logged_without_their_query(guarded, caplog):
    with caplog.at_level(logging.INFO, "framecue.service.requests"):
        guarded.get("/", params={"token": TOKEN})
    lines = [record.getMessage() for record in caplog.records if record.name == "framecue.service.requests"]
    assert [json.loads(line)["status"] for line in lines] == [303, 200]
    assert all(TOKEN not in line for line in lines)
