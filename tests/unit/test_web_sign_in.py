"""Tickets, cookies and tokens: what each permits, how often, and for how long."""

import pytest

from flowhub_jobs.errors import HomeUnusable
from flowhub_jobs.web.sign_in import COOKIE_S, TICKETS_MAX, SignIn, open_sign_in

TOKEN = "t" * 43
NOW = 1_800_000_000.0


def cookie_of(sign_in, now_s=NOW):
    cookie = sign_in.redeem(sign_in.new_ticket(), now_s)
    assert cookie is not None
    return cookie


def test_a_ticket_is_worth_one_cookie():
    sign_in = SignIn(TOKEN)
    ticket = sign_in.new_ticket()
    assert sign_in.redeem("another") is None
    assert sign_in.redeem(ticket) is not None
    assert sign_in.redeem(ticket) is None


def test_the_number_of_unused_tickets_is_bounded():
    sign_in = SignIn(TOKEN)
    tickets = [sign_in.new_ticket() for _ in range(TICKETS_MAX + 1)]
    assert sign_in.redeem(tickets[0]) is None
    assert sign_in.redeem(tickets[-1]) is not None


def test_a_cookie_outlives_the_server_and_expires():
    cookie = cookie_of(SignIn(TOKEN))
    assert SignIn(TOKEN).session(cookie, NOW + 1) is not None
    assert SignIn(TOKEN).session(cookie, NOW + COOKIE_S + 1) is None


def test_another_token_ends_all_sessions():
    assert SignIn("u" * 43).session(cookie_of(SignIn(TOKEN)), NOW) is None


def test_each_session_has_a_page_token_of_its_own_which_is_no_cookie():
    sign_in = SignIn(TOKEN)
    first, second = (sign_in.session(cookie_of(sign_in), NOW) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.page_token != second.page_token
    assert sign_in.session(f"{first.id}.{first.page_token}", NOW) is None


@pytest.mark.parametrize("cookie", ["", ".", "..", "x", "1.2.3", "é.ü.ß", "\ud800.a.b"])
def test_an_unsigned_cookie_is_no_session(cookie):
    assert SignIn(TOKEN).session(cookie, NOW) is None


def test_the_share_has_a_token_of_its_own_that_opens_nothing_else():
    sign_in = SignIn(TOKEN, "s" * 43)
    assert sign_in.may_read_share("s" * 43)
    assert sign_in.may_read_share(TOKEN)
    assert not sign_in.is_token("s" * 43)
    assert not sign_in.may_read_share("")
    assert not SignIn(TOKEN).may_read_share("s" * 43)


def test_the_token_is_created_once_and_only_its_owner_can_read_it(tmp_path):
    first, second = open_sign_in(tmp_path, share=False), open_sign_in(tmp_path, share=True)
    assert first.token == second.token
    assert {path.name for path in tmp_path.iterdir()} == {"web.token", "share.token"}
    path = tmp_path / "web.token"
    path.chmod(0o644)
    open_sign_in(tmp_path, share=False)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"short\n", b"x" * 5000, b"\xff" * 40, b"two lines of text\nand no token"])
def test_a_file_without_a_token_is_refused_and_not_replaced(tmp_path, content):
    (tmp_path / "web.token").write_bytes(content)
    with pytest.raises(HomeUnusable):
        open_sign_in(tmp_path, share=False)
    assert (tmp_path / "web.token").read_bytes() == content


def test_a_link_in_the_place_of_the_token_is_refused(tmp_path):
    (tmp_path / "elsewhere").write_text(TOKEN)
    (tmp_path / "web.token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeUnusable):
        open_sign_in(tmp_path, share=False)
