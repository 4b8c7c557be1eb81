import math
import pickle
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from router.errors import UnknownNamespace
from router.settings import Mistake, Settings, SettingsError, load, parse
from router.settings.lines import locate
from router.settings.tables import SettingsFile
from router.types import Mode, Share, Usage

EXAMPLE = Path(__file__).parents[3] / "router" / "scrimp.example.toml"
ENVIRON = {"HOME": "/home/ada", "OPENAI_API_KEY": "sk-test-0123456789abcdef"}


def mistakes_of(text: str, environ: dict[str, str] | None = None) -> tuple[Mistake, ...]:
    with pytest.raises(SettingsError) as caught:
        parse(text, ENVIRON if environ is None else environ)
    return caught.value.mistakes


def only(mistakes: tuple[Mistake, ...]) -> Mistake:
    assert len(mistakes) == 1, mistakes
    return mistakes[0]


def settings_of(text: str = "") -> Settings:
    return parse(text, ENVIRON)


def test_without_a_file_the_service_has_openai_models() -> None:
    """Embedded defaults: gpt-4o as baseline, gpt-4o-mini, and the key from the environment."""
    settings = load(None, ENVIRON)

    assert list(settings.models) == ["gpt-4o", "gpt-4o-mini"]
    assert settings.routing.baseline == "gpt-4o"
    assert settings.providers["openai"].keys[0].secret.reveal() == ENVIRON["OPENAI_API_KEY"]
    assert settings.warnings == ()


def test_without_a_key_it_starts_with_a_warning() -> None:
    """The advisor needs no key, so a missing one is told and not fatal."""
    settings = load(None, {})

    assert [warning.seen for warning in settings.warnings] == ["OPENAI_API_KEY is not set"]
    assert not settings.providers["openai"].keys[0].secret


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    """SCRIMP_CONFIG is read where no path is given."""
    path = tmp_path / "scrimp.toml"
    path.write_text('[service]\nmode = "shadow"\n')

    settings = load(None, {**ENVIRON, "SCRIMP_CONFIG": str(path)})

    assert settings.path == path
    assert settings.service.mode is Mode.SHADOW


def test_the_example_file_is_valid() -> None:
    """What we hand out loads without a mistake and without a warning."""
    settings = load(EXAMPLE, ENVIRON)

    assert settings.warnings == ()


_WITHOUT_DEFAULT = (
    *("data_folder", "baseline", "system_prompt_masks", "max_cost_per_request"),
    "hedge_after_s",
)


_WRITTEN = {"calibrated"}  # by `scrimp calibrate`, not by hand


def test_the_example_file_shows_every_key_with_its_true_default() -> None:
    """Uncommented, the example holds all keys of the plain tables, at their defaults."""
    text = EXAMPLE.read_text()
    lines = [re.sub(r"^# (?=\w+ = )", "", line) for line in text.splitlines()]
    shown = tomllib.loads("\n".join(line for line in lines if not line.startswith("#")))

    for name in ("service", "http", "limits", "cache", "audits", "routing"):
        table = getattr(SettingsFile(), name)
        assert set(shown[name]) == set(type(table).model_fields) - _WRITTEN
        for key, value in shown[name].items():
            if key not in _WITHOUT_DEFAULT:
                assert value == getattr(table, key), key


def test_all_mistakes_are_reported_at_once_with_their_lines() -> None:
    """One run tells everything: types, ranges, names, cross references."""
    mistakes = mistakes_of(
        """
[service]
listen = "nonsense"
drain_s = -1
[routing]
baseline = "gpt4o"
quality_target = nan
[models."gpt-4o"]
provider = "opneai"
capabilities = ["tools",
  "vison"]
[namespaces.a]
mode = "shadwo"
allowed_models = [
  "gpt-4o",
  "zzz",
]
system_prompt_masks = ['(']
"""
    )

    assert [(m.line, m.key) for m in mistakes] == [
        (3, "service.listen"),
        (4, "service.drain_s"),
        (6, "routing.baseline"),
        (7, "routing.quality_target"),
        (9, "models.gpt-4o.provider"),
        (11, "models.gpt-4o.capabilities[1]"),
        (13, "namespaces.a.mode"),
        (16, "namespaces.a.allowed_models[1]"),
        (18, "namespaces.a.system_prompt_masks[0]"),
    ]
    assert all(m.seen and m.expected and m.remedy for m in mistakes)


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[service]\nlissten = 'a'", "service.lissten", "'listen'"),
        ("[routin]\n", "routin", "'routing'"),
        ("[models.a]\ncontxt_window = 5", "models.a.contxt_window", "'context_window'"),
        ("[namespaces]\nclosd = true", "namespaces.closd", "'closed'"),
        ("[namespaces.a]\nmod = 'on'", "namespaces.a.mod", "'mode'"),
    ],
)
def test_an_unknown_key_is_a_mistake_with_a_suggestion(text: str, key: str, hint: str) -> None:
    """A typo never passes in silence."""
    mistake = next(m for m in mistakes_of(text) if m.key == key)

    assert f"did you mean {hint}?" in mistake.remedy


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-0.1", "1.5", "true", "'0.9'", "[1]"])
def test_a_quality_target_outside_its_range_is_refused(value: str) -> None:
    """NaN, infinities, negatives, texts and booleans are no targets."""
    mistake = only(mistakes_of(f"[routing]\nquality_target = {value}"))

    assert (mistake.line, mistake.key) == (2, "routing.quality_target")
    assert mistake.expected == "a number in (0, 1]"


@hypothesis_settings(deadline=None, max_examples=50)
@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_similarity_loads_exactly_when_it_is_a_cosine(value: float) -> None:
    """What loads lies in its range; what lies outside is reported, never clamped."""
    word = "nan" if math.isnan(value) else repr(value)
    text = f"[cache]\nmin_similarity = {word}"

    if -1 <= value <= 1:
        assert settings_of(text).default_policy.reuse.min_similarity == value
    else:
        assert only(mistakes_of(text)).key == "cache.min_similarity"


def test_a_syntax_mistake_does_not_hide_the_rest() -> None:
    """A line that is no TOML is reported with its line, and so are the mistakes after it."""
    mistakes = mistakes_of('[service]\nmode = on\n\n[cache]\nttl_s = "5"\nshare = user\n')

    assert [(m.line, m.key) for m in mistakes] == [
        (2, "service.mode"),
        (5, "cache.ttl_s"),
        (6, "cache.share"),
    ]
    assert mistakes[0].remedy == 'put the text in quotes: mode = "on"'


@hypothesis_settings(deadline=None, max_examples=50)
@given(st.text(max_size=200))
def test_any_text_loads_or_is_explained(text: str) -> None:
    """No text makes anything but settings or a SettingsError."""
    try:
        parse(text, ENVIRON)
    except SettingsError as error:
        n_mistakes = len(error.mistakes)
    else:
        n_mistakes = 1
    assert n_mistakes


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 5_000, "a" + ".a" * 2_000 + " = 1", "a = " + "9" * 5_000, "ttl_s = 1e999"],
    ids=["brackets", "dots", "digits", "exponent"],
)
def test_absurd_files_are_mistakes_and_no_crash(text: str) -> None:
    """Bombs are refused like any other mistake."""
    assert mistakes_of("[cache]\n" + text)


@pytest.mark.parametrize(
    "line",
    [
        'api_key = "sk-abcdefghijklmnop"',
        'api_key = "0123456789"',
        'api_key_env = "sk-abcdefghijklmnop"',
        'api_key_env = "f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4"',
        "api_key_env = f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4",
        'base_url = "https://user:abcdefghijklmnop@host/v1"',
        'base_url = "https://host/v1?key=abcdefghijklmnop"',
        "api_key = sk-abcdefghijklmnop",
    ],
)
def test_a_secret_in_the_file_is_a_mistake_that_is_not_printed(line: str) -> None:
    """Keys belong in the environment; a report about one can be pasted anywhere."""
    mistakes = mistakes_of(f'[providers.p]\n{line}\n[models.m]\nprovider = "p"\n')

    told = "\n".join(map(str, mistakes))
    assert mistakes[0].line == 2
    assert not re.search("abcdefghijklmnop|0123456789|f9a8b7c6", told)


@pytest.mark.parametrize(
    ("provider", "table", "kind", "base_url", "variable"),
    [
        ("anthropic", "", "anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
        (
            "gemini",
            "",
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta",
            "GEMINI_API_KEY",
        ),
        (
            "mine",
            'base_url = "https://api.anthropic.com/v1"',
            "anthropic",
            "https://api.anthropic.com/v1",
            "ANTHROPIC_API_KEY",
        ),
        ("anthropic", 'base_url = "https://proxy/v1"', "openai", "https://proxy/v1", ""),
        (
            "proxy",
            'kind = "anthropic"\nbase_url = "https://proxy/v1"',
            "anthropic",
            "https://proxy/v1",
            "",
        ),
    ],
)
def test_another_provider_is_one_line(
    provider: str, table: str, kind: str, base_url: str, variable: str
) -> None:
    """The wire is told by the address, without one by the name; what is said wins."""
    text = f'[models.m]\nprovider = "{provider}"\n'
    text += f"[providers.{provider}]\n{table}\n" if table else ""

    found = settings_of(text).providers[provider]

    assert (found.kind, found.base_url, found.keys[0].env) == (kind, base_url, variable)


def test_prices_of_other_providers_are_known() -> None:
    """What their prompt caches read and write has prices of its own."""
    settings = settings_of(
        '[models."claude-3-5-haiku-latest"]\nprovider = "anthropic"\n'
        '[models."gemini-2.5-flash"]\nprovider = "gemini"\n'
        '[routing]\nbaseline = "gemini-2.5-flash"\n'
    )
    plain = Usage(input_tokens=1_000_000, output_tokens=0)
    cost = settings.prices.cost_nanos

    for model in settings.models:
        whole = cost(model, plain)
        read = cost(model, replace(plain, cache_read_tokens=1_000_000))
        assert whole is not None
        assert read is not None
        assert read < whole
    written = cost("claude-3-5-haiku-latest", replace(plain, cache_write_tokens=1_000_000))
    assert written == 1_000_000_000


def test_a_provider_may_have_several_keys_by_weight() -> None:
    """Those that are set are used; which are not is a warning, and no key is ever shown."""
    text = """
        [providers.openai]
        api_key_envs = { KEY_A = 3.0, KEY_B = 1.0, KEY_C = 1.0 }
        [models.gpt-4o]
    """

    settings = parse(text, {"KEY_A": "a-secret", "KEY_B": "b-secret"})

    keys = settings.providers["openai"].keys
    assert [(key.env, key.secret.reveal(), key.weight) for key in keys] == [
        ("KEY_A", "a-secret", 3.0),
        ("KEY_B", "b-secret", 1.0),
    ]
    assert "KEY_C is not set" in only(settings.warnings).seen
    assert "a-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ('api_key_env = "A"\napi_key_envs = { B = 1.0 }', "providers.p.api_key_env"),
        ("api_key_envs = { A = 0.0 }", "providers.p.api_key_envs.A"),
        ('api_key_envs = { "sk-abcdefghijklmnop" = 1.0 }', "providers.p.api_key_envs"),
    ],
)
def test_mistakes_in_keys_are_told(lines: str, key: str) -> None:
    """Both forms at once, a weight of nothing, a key where its variable's name belongs."""
    text = f'[providers.p]\nbase_url = "https://host/v1"\n{lines}\n[models.m]\nprovider = "p"\n'

    mistake = only(mistakes_of(text))

    assert mistake.key == key
    assert "abcdefghijklmnop" not in str(mistake)


def test_silence_within_an_answer_is_no_longer_than_before_it() -> None:
    """Said so, it is a mistake; the default yields to a shorter first_token_s."""
    assert not settings_of("[routing]\nfirst_token_s = 1.0\n").warnings
    mistake = only(mistakes_of("[routing]\nfirst_token_s = 1.0\nbetween_tokens_s = 2.0\n"))

    assert mistake.key == "routing.between_tokens_s"


def test_a_key_is_shown_by_nothing() -> None:
    """repr, str, format and pickle give no key away; only reveal does."""
    settings = settings_of()
    secret = settings.providers["openai"].keys[0].secret

    for text in (repr(settings), str(secret), f"{secret}", f"{secret!r:>40}"):
        assert ENVIRON["OPENAI_API_KEY"] not in text
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_a_key_with_a_line_break_inside_is_refused_unseen() -> None:
    """Such a key would break the header it is sent in."""
    mistake = only(mistakes_of("", {"OPENAI_API_KEY": "sk-abc\ndef"}))

    assert mistake.key == "providers.openai.api_key_env"
    assert "abc" not in str(mistake)


def test_a_namespace_overrides_the_defaults_and_keeps_the_rest() -> None:
    """What a namespace does not say comes from [service], [cache] and [routing]."""
    policy = settings_of(
        """
[service]
mode = "shadow"
[cache]
ttl_s = 60
min_similarity = 0.9
system_prompt_masks = ['\\d+']
[routing]
quality_target = 0.8
[audits]
share = 0.1
shadow_share = 0.5
[namespaces.a]
share = "user"
audit_share = 0.0
ttl_s = 0
allowed_models = ["gpt-4o"]
pinned_model = "gpt-4o"
"""
    ).policy("a")

    assert (policy.mode, policy.share) == (Mode.SHADOW, Share.USER)
    assert (policy.reuse.ttl_s, policy.reuse.min_similarity) == (0, 0.9)
    assert (policy.quality_target, policy.allowed_models) == (0.8, ("gpt-4o",))
    assert policy.pinned_model == "gpt-4o"
    assert (policy.audit_share, policy.shadow_share) == (0.0, 0.5)
    assert [mask.pattern for mask in policy.system_prompt_masks] == [r"\d+"]


def test_a_closed_set_refuses_other_namespaces() -> None:
    """The error names the namespace and says who can help."""
    settings = settings_of("[namespaces]\nclosed = true\n[namespaces.a]\n")

    assert settings.policy("a").mode is Mode.ON
    with pytest.raises(UnknownNamespace, match=r"'b'.*operator"):
        settings.policy("b")


def test_an_open_set_gives_strangers_the_default_without_remembering_them() -> None:
    """A caller that invents namespaces takes no memory."""
    settings = settings_of("[namespaces.a]\n")

    assert settings.policy("x") is settings.policy("y") is settings.default_policy


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:50051", "localhost:1", "unix:/run/s"])
def test_addresses_of_this_machine_are_fine(listen: str) -> None:
    """Loopback and Unix sockets raise no warning."""
    assert settings_of(f'[service]\nlisten = "{listen}"').warnings == ()
    assert settings_of(f'[http]\nlisten = "{listen}"').warnings == ()


@pytest.mark.parametrize(
    "listen", ["", "50051", "host:", ":1", "host:70000", "unix:run/s", "a b:1", "http://h:1"]
)
def test_addresses_that_cannot_be_listened_on_are_mistakes(listen: str) -> None:
    """Found at load, not at bind."""
    assert only(mistakes_of(f'[service]\nlisten = "{listen}"')).key == "service.listen"
    if listen:  # no HTTP is fine, no gRPC is not
        assert only(mistakes_of(f'[http]\nlisten = "{listen}"')).key == "http.listen"


def test_listening_to_the_world_is_a_warning() -> None:
    """Whoever reaches the port can read answers and spend keys."""
    warning = settings_of('[service]\nlisten = "0.0.0.0:50051"').warnings[0]

    assert warning.key == "service.listen"
    assert settings_of('[http]\nlisten = "0.0.0.0:50080"').warnings[0].key == "http.listen"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[service]\nmetrics_listen = "127.0.0.1:50051"', "service.metrics_listen"),
        ('[service]\nmetrics_listen = "127.0.0.1:50080"', "service.metrics_listen"),
        ('[http]\nlisten = "127.0.0.1:50051"', "http.listen"),
        ('[service]\nlisten = "unix:/a"\n[http]\nlisten = "unix:/a"', "http.listen"),
        ('[http]\nnamed_models = "pined"', "http.named_models"),
        ("[http]\nmax_connections = 0", "http.max_connections"),
        ("[http]\nbody_s = -1.0", "http.body_s"),
        ("[routing]\nconnect_s = 700", "routing.connect_s"),
        ("[routing]\nbackoff_s = 6", "routing.backoff_s"),
        ("[limits]\nmax_prompt_bytes = 9000000", "limits.max_prompt_bytes"),
        ('[routing]\nfallback_model = "x"', "routing.fallback_model"),
        ("[models.a]\n[models.b]\n", "routing.baseline"),
        ("[namespaces]\nclosed = true", "namespaces.closed"),
        ("[namespaces.a]\nallowed_models = []", "namespaces.a.allowed_models"),
        (
            '[namespaces.a]\nallowed_models = ["gpt-4o"]\npinned_model = "gpt-4o-mini"',
            "namespaces.a.pinned_model",
        ),
        ("[cache]\nsystem_prompt_masks = ['a*']", "cache.system_prompt_masks[0]"),
        ('[providers.openai]\nbase_url = "ftp://x"', "providers.openai.base_url"),
        ('[providers.openai]\nprices_from = "opnai"', "providers.openai.prices_from"),
        ('[models."gpt-4o"]\nability = inf', "models.gpt-4o.ability"),
        ('[models."gpt-4o"]\ninput_usd_per_mtok = -1', "models.gpt-4o.input_usd_per_mtok"),
        ('[models."gpt-4o"]\ncontext_window = 0', "models.gpt-4o.context_window"),
        ('[models]\n"gpt-4o" = 5', "models.gpt-4o"),
        ("service = 5", "service"),
    ],
)
def test_what_does_not_fit_together_is_a_mistake(text: str, key: str) -> None:
    """Names must exist and numbers must fit each other; one cause, one report."""
    assert only(mistakes_of(text)).key == key


def test_nothing_is_audited_unless_it_is_asked_for() -> None:
    """Audits cost money, so that they are off by default, for strangers as well."""
    settings = settings_of("")

    assert settings.policy("anybody").audit_share == 0.0


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[audits]\nshare = 0.1\nbudget_usd_per_day = 0.0", "audits.share"),
        (
            "[audits]\nbudget_usd_per_day = 0.0\n[namespaces.a]\naudit_share = 0.1",
            "namespaces.a.audit_share",
        ),
    ],
)
def test_audits_without_money_are_a_warning(text: str, key: str) -> None:
    """The file loads; none will be made."""
    assert only(settings_of(text).warnings).key == key


def test_a_replay_audits_nothing() -> None:
    """Whatever the file says, for the namespaces it names and all others."""
    settings = settings_of("[audits]\nshare = 1.0\n[namespaces.a]\naudit_share = 0.5").unaudited()

    for name in ("a", "b"):
        assert (settings.policy(name).audit_share, settings.policy(name).shadow_share) == (0, 0)


def test_the_only_model_is_the_baseline() -> None:
    """One model needs no [routing]."""
    settings = settings_of('[models.mine]\nprovider = "s"\n[providers.s]\nkind = "scripted"')

    assert settings.routing.baseline == "mine"


def test_an_unknown_price_is_a_warning() -> None:
    """The service runs without it, and what that costs is said."""
    settings = settings_of('[models.mine]\nname = "nobody-knows-me"')

    assert [(w.line, w.key) for w in settings.warnings] == [(1, "models.mine")]
    assert "savings are unknown" in settings.warnings[0].remedy


def test_a_model_without_figures_gets_them_from_the_price_data() -> None:
    """Context window and prices need not be copied into the file."""
    settings = settings_of()

    assert settings.models["gpt-4o"].context_window == 128_000
    assert settings.prices.input_usd_per_mtok("gpt-4o") is not None
    assert settings.models["gpt-4o"].capabilities == {"tools", "vision", "json"}


def test_no_key_is_sent_to_other_addresses_unless_it_is_named() -> None:
    """The OpenAI key goes to OpenAI."""
    settings = settings_of(
        '[providers.openai]\nbase_url = "http://127.0.0.1:8000/v1/"\n[models.a]\n'
    )

    assert settings.providers["openai"].base_url == "http://127.0.0.1:8000/v1"
    assert not settings.providers["openai"].keys[0].secret


@pytest.mark.parametrize(
    ("stated", "expected"),
    [("data", "/etc/scrimp/data"), ("/var/x", "/var/x"), ("~/x", "/home/ada/x")],
)
def test_a_relative_data_folder_starts_at_the_file(stated: str, expected: str) -> None:
    """The folder does not depend on where the service was started."""
    settings = parse(
        f'[service]\ndata_folder = "{stated}"', ENVIRON, path=Path("/etc/scrimp/s.toml")
    )

    assert settings.service.data_folder == Path(expected)


def test_without_a_stated_data_folder_it_is_the_users() -> None:
    """XDG_DATA_HOME, else ~/.local/share."""
    assert settings_of().service.data_folder == Path("/home/ada/.local/share/scrimp")
    xdg = load(None, {"XDG_DATA_HOME": "/x"}).service.data_folder
    assert xdg == Path("/x/scrimp")


def test_overrides_win_over_the_file_and_are_checked() -> None:
    """The command line's words pass the same checks; no line of the file is blamed."""
    text = '[service]\nlisten = "127.0.0.1:1"'

    settings = parse(text, ENVIRON, overrides={"service.listen": "127.0.0.1:2"})
    assert settings.service.listen == "127.0.0.1:2"
    with pytest.raises(SettingsError) as caught:
        parse("", ENVIRON, overrides={"service.listen": "?"})
    assert only(caught.value.mistakes).line is None


@pytest.mark.parametrize("content", [b"\xff\xfe", b"#" * (1 << 20) + b"##"])
def test_a_file_that_cannot_be_read_is_one_mistake(tmp_path: Path, content: bytes) -> None:
    """Not UTF-8, too large: said with the file's name."""
    path = tmp_path / "scrimp.toml"
    path.write_bytes(content)

    with pytest.raises(SettingsError, match=r"scrimp\.toml"):
        load(path, ENVIRON)


def test_an_absent_file_and_a_folder_are_mistakes(tmp_path: Path) -> None:
    """A path that was given and is no file never falls back to defaults."""
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(SettingsError, match="a readable file"):
            load(path, ENVIRON)


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    """Files from Windows editors work, lines counted as the editor counts them."""
    path = tmp_path / "scrimp.toml"
    path.write_bytes(b"\xef\xbb\xbf[service]\r\n\r\nlisten = 1\r\n")

    with pytest.raises(SettingsError) as caught:
        load(path, ENVIRON)
    assert only(caught.value.mistakes).line == 3


def test_lines_are_found_through_every_way_to_write_a_key() -> None:
    """Headers, dotted, quoted and inline keys, arrays, multi-line strings, comments."""
    lines = locate(
        '''a.b = 1  # [no.header]
"q.x" = """
[not.a.header]
c = 1
"""
[t."d.e"] # comment
f = [ # [
  1,
  "]", {g = 2, h = [3,
4]},
]
[[n]]
i = 1
[[n]]
j = \'it"s\'
[n.k]
l = 1979-05-27T07:32:00Z
'''
    )

    assert lines["a", "b"] == 1
    assert lines[("q.x",)] == 2
    assert lines["t", "d.e", "f"] == 7
    assert lines["t", "d.e", "f", 1] == 9
    assert lines["t", "d.e", "f", 2, "h", 1] == 10
    assert (lines["n", 0, "i"], lines["n", 1, "j"], lines["n", 1, "k", "l"]) == (13, 15, 17)
    assert ("not", "a", "header") not in lines


def test_a_request_may_cost_what_its_namespace_says_or_else_what_all_may() -> None:
    """Dollars in the file, nano-dollars within."""
    text = "[routing]\nmax_cost_per_request = 0.05\n[namespaces.a]\nmax_cost_per_request = 1e-9"
    settings = settings_of(text)

    assert settings.policy("a").max_cost_nanos == 1
    assert settings.policy("b").max_cost_nanos == 50_000_000
    assert settings_of("").policy("b").max_cost_nanos is None
