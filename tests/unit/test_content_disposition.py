"""File names from Content-Disposition, as the standards define them and as servers write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.net.content_disposition import suggested_name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="a b.gguf"', "a b.gguf"),
        ("attachment;filename=plain.gguf", "plain.gguf"),
        ("attachment; filename=my model v1.gguf", "my model v1.gguf"),
        ('ATTACHMENT; FILENAME = "x.gguf"', "x.gguf"),
        ('filename="x.gguf"', "x.gguf"),
        ("inline; filename*=UTF-8''a.gguf; filename=\"b.gguf\";", "a.gguf"),
        ("attachment; filename=\"b.gguf\"; filename*=UTF-8''m%C3%B6del.gguf", "mödel.gguf"),
        ("attachment; filename*=iso-8859-1'de'm%F6.gguf", "mö.gguf"),
        ("attachment; filename*=\"UTF-8''q.gguf\"", "q.gguf"),
        ("attachment; filename*=bogus''x; filename=y.gguf", "y.gguf"),
        ("attachment; filename*=UTF-8''%FF; filename=y.gguf", "y.gguf"),
        ('attachment; filename="m%C3%B6.gguf"', "mö.gguf"),
        ('attachment; filename="100%.gguf"', "100%.gguf"),
        ('attachment; filename="模型.gguf"', "模型.gguf"),
        ('attachment; filename="mÃ¶.gguf"', "mö.gguf"),
        ('attachment; filename="=?UTF-8?B?bcO2ZGVsLmdndWY=?="', "mödel.gguf"),
        ('attachment; filename="=?utf-8?Q?m=C3=B6_x.gguf?="', "mö x.gguf"),
        ('attachment; filename="a;b.gguf"; size=3', "a;b.gguf"),
        (r'attachment; filename="a\"b.gguf"', 'a"b.gguf'),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        (r'attachment; filename="C:\\models\\b.gguf"', "b.gguf"),
        (r'attachment; filename="C:\models\b.gguf"', "b.gguf"),
        ("attachment; filename*=UTF-8''..%2F..%2Fx.gguf", "x.gguf"),
        ("inline", None),
        ("", None),
        ("attachment; filename=", None),
        ('attachment; filename=""', None),
        ('attachment; filename="/"', None),
        ("attachment; filename=" + "x" * 10_000, None),
    ],
)
def test_the_name_is_read(header, name):
    assert suggested_name(header) == name


@given(st.text(max_size=60), st.sampled_from(["filename=", "filename*=", 'filename="', "filename*=UTF-8''"]))
def test_any_header_gives_one_path_component_or_nothing(text, before):
    name = suggested_name(f"attachment; {before}{text}")
    assert name is None or (name and not {"/", "\\"} & set(name))
