"""Named pools in the settings: where they may stand, what they have of the top level, and what is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from workerd.config import Config, PoolConfig, load_layers
from workerd.config.model import Autoscale
from workerd.config.pools import left_for_default, order_without_effect, parse_pool
from workerd.errors import ConfigError

ETC = Path(__file__).parents[3] / "etc" / "workerd.toml"


def load(directory: Path, text: str = "", environ: dict[str, str] | None = None, **flags: str) -> Config:
    file = directory / "settings.toml"
    file.write_text(text)
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    return load_layers(dotted, file, environ or {}).config()


def test_a_daemon_has_its_default_pool_alone_where_no_other_is_named() -> None:
    config = Config(size=(2, 3))
    assert config.pools == {}
    assert config.all_pools() == {"default": config}


def test_a_table_of_the_file_is_a_pool(tmp_path: Path) -> None:
    config = load(tmp_path, '[pools.video]\nqueues = ["video", "thumbs"]\nsize = "1-2"\n')

    assert config.pools == {"video": PoolConfig(queues=("video", "thumbs"), size=(1, 2))}
    assert list(config.all_pools()) == ["default", "video"]


def test_a_pool_has_the_top_levels_settings_but_not_its_queues(tmp_path: Path) -> None:
    text = 'size = 3\nqueues = ["mail"]\nboot_timeout = "2m"\n[pools.video]\nqueues = "video"\n'
    config = load(tmp_path, text)

    assert config.pools["video"] == PoolConfig(queues=("video",), size=(3, 3), boot_timeout=120.0)


def test_a_pools_own_setting_wins_over_the_top_levels_flag(tmp_path: Path) -> None:
    text = '[pools.video]\nqueues = "video"\nsize = 1\n[pools.pdf]\nqueues = "pdf"\n'
    config = load(tmp_path, text, size="4")

    assert [pool.size for pool in config.all_pools().values()] == [(4, 4), (1, 1), (4, 4)]


def test_flag_environment_and_file_make_one_pool_key_by_key(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        '[pools.video]\nqueues = "video"\nsize = 1\nboot_timeout = 9\n',
        {"WORKERD_POOLS__VIDEO__SIZE": "2", "WORKERD_POOLS__PDF__QUEUES": "pdf"},
        pools__video__size="3",
    )
    assert config.pools["video"] == PoolConfig(queues=("video",), size=(3, 3), boot_timeout=9.0)
    assert config.pools["pdf"].queues == ("pdf",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[pools.video]\nsize = 1\n",
            r"no queues; name them: queues = \[...\] in \[pools.video\], or --pool video:queues=A,B",
        ),
        ("[pools.video]\n", "pool 'video' has no queues"),
        ("[pools.video]\nqueues = []\n", "pool 'video' has no queues"),
        (
            'queues = "a,b"\n[pools.video]\nqueues = "b"\n',
            "queue 'b' is in two pools, 'default' and 'video'; a queue belongs to one pool",
        ),
        (
            '[pools.video]\nqueues = "b"\n[pools.pdf]\nqueues = "a,b"\n',
            "queue 'b' is in two pools, 'video' and 'pdf'",
        ),
        (
            '[pools.video]\nqueue = "b"\n',
            r"unknown setting 'pools.video.queue' in .*; did you mean 'pools.video.queues'\?",
        ),
        ('[pools.video]\nname = "b"\n', "unknown setting 'pools.video.name'"),
        ('[pools.video]\ndrain.timeout = "b"\n', "unknown setting 'pools.video.drain.timeout'"),
        (
            '[pools.video]\nqueues = "v"\nsize = "many"\n',
            "setting 'pools.video.size' from .* cannot be 'many'",
        ),
        (
            '[pools.default]\nqueues = "a"\n',
            "pool 'default' .*; the default pool's settings stand at the top",
        ),
        (
            '[pools.Video]\nqueues = "a"\n',
            "pool name 'Video' from .* cannot be used; write 1 to 32 small letters",
        ),
        ('[pools.8]\nqueues = "a"\n', "pool name '8' from .* cannot be used"),
        (
            "[pools]\nvideo = 3\n",
            r"pool 'video' from .* cannot be 3; write its settings below \[pools.video\]",
        ),
        (
            "memory_limit = '1GB'\n[pools.video]\nqueues = 'v'\nsoft_memory_limit = '1GB'\n",
            "the soft_memory_limit of pool 'video' does not come before its memory_limit; make it smaller",
        ),
        (
            "soft_time_limit = 60\ntime_limit = '1m'\n",
            "the soft_time_limit, 60s, does not come before its time_limit, 60s; make it shorter",
        ),
        (
            "time_limit = 10\n[pools.video]\nqueues = 'v'\nsoft_time_limit = 11\n",
            "the soft_time_limit of pool 'video', 11s, does not come before its time_limit, 10s",
        ),
        ("time_limit = 'soon'\n", "setting 'time_limit' from .* cannot be 'soon'; write seconds, .* or app"),
        ("pools = 3\n", r"setting 'pools' from .* cannot be 3; write \[pools.NAME\]"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as told:
        load(tmp_path, text)
    assert "\n" not in str(told.value)


def test_limits_of_pools_are_times_none_or_the_apps(tmp_path: Path) -> None:
    text = "time_limit = '5m'\nsoft_time_limit = 'none'\n[pools.video]\nqueues = 'v'\ntime_limit = 'app'\n"
    config = load(tmp_path, text, {"WORKERD_POOLS__PDF__TIME_LIMIT": "0", "WORKERD_POOLS__PDF__QUEUES": "p"})
    assert (config.time_limit, config.soft_time_limit) == (300.0, math.inf)
    video, pdf = config.pools["video"], config.pools["pdf"]
    assert (video.time_limit, video.soft_time_limit) == (None, math.inf)
    assert pdf.time_limit == math.inf


def test_a_typo_in_the_environment_is_spelt_as_there() -> None:
    with pytest.raises(ConfigError, match=r"did you mean WORKERD_POOLS__VIDEO__QUEUES\?"):
        load_layers({}, None, {"WORKERD_POOLS__VIDEO__QUEUE": "v"})


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("video:queues=video,size=1-2", {"queues": "video", "size": "1-2"}),
        ("video:queues=video,thumbs,size=2", {"queues": "video,thumbs", "size": "2"}),
        ("video: size=2, queues=a,b", {"size": "2", "queues": "a,b"}),
    ],
)
def test_a_pool_on_the_command_line(typed: str, found: dict[str, str]) -> None:
    assert parse_pool(typed) == {f"pools.video.{key}": value for key, value in found.items()}


@pytest.mark.parametrize("typed", ["video", "video:", "", ":", "video:video", "video:video,thumbs"])
def test_a_pool_on_the_command_line_that_says_nothing_is_refused(typed: str) -> None:
    with pytest.raises(
        ConfigError, match=r"--pool '.*' cannot be read; write --pool NAME:queues=A,B,size=1-2"
    ):
        parse_pool(typed)


def test_a_named_pool_takes_its_queues_from_the_app(tmp_path: Path) -> None:
    pools = load(tmp_path, '[pools.video]\nqueues = "video"\n').pools

    assert left_for_default(("celery", "video", "mail"), pools) == ["celery", "mail"]
    with pytest.raises(ConfigError, match="the default pool has no queues"):
        left_for_default(("video",), pools)


def test_the_example_in_the_settings_file_holds(tmp_path: Path) -> None:
    example = re.search(r"^#   \[pools\.video\]\n(#   .+\n)+", ETC.read_text(), flags=re.MULTILINE)
    assert example is not None
    assert load(tmp_path, example[0].replace("#   ", "")).pools["video"].queues == ("video",)


def test_a_pool_may_have_limits_of_memory_of_its_own(tmp_path: Path) -> None:
    own = '[pools.video]\nqueues = "v"\nmemory_limit = "4GB"\nmax_tasks_per_child = 9\n'
    config = load(tmp_path, f'soft_memory_limit = "1GB"\n{own}')
    video = config.pools["video"]
    assert (video.soft_memory_limit, video.memory_limit, video.max_tasks_per_child) == (1 << 30, 4 << 30, 9)
    assert (config.memory_limit, config.max_tasks_per_child) == (0, 0)


def test_a_table_of_a_pool_is_made_key_by_key_of_its_own_and_the_top_levels(tmp_path: Path) -> None:
    text = """
        [autoscale]
        max_wait = "5s"
        window = "10m"
        [pools.video]
        queues = "video"
        [pools.video.autoscale]
        max_wait = "1m"
    """
    config = load(tmp_path, text, {"WORKERD_POOLS__VIDEO__AUTOSCALE__MAX_LOAD": "3.5"})

    assert config.autoscale == Autoscale(max_wait=5.0, window=600.0)
    assert config.pools["video"].autoscale == Autoscale(max_wait=60.0, window=600.0, max_load=3.5)


def test_a_setting_of_a_table_stands_in_the_flag_of_a_pool_too() -> None:
    flags = parse_pool("video:queues=a,b,autoscale.max_wait=1m,size=1-8")
    config = load_layers(flags, None, {}).config()
    assert config.pools["video"] == PoolConfig(
        queues=("a", "b"), size=(1, 8), autoscale=Autoscale(max_wait=60.0)
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("autoscale.max_wait = 0", "'autoscale.max_wait' from .* cannot be 0; this time must be more than 0"),
        ("autoscale.max_load = -1", "'autoscale.max_load' from .* cannot be -1; write a number, 0 or more"),
        ("autoscale.wait = 3", "unknown setting 'autoscale.wait' .* did you mean 'autoscale.max_wait'"),
        ("autoscale = 3", "unknown setting 'autoscale' .* did you mean 'autoscale"),
        ("pools.v.autoscale.window = 'x'", "'pools.v.autoscale.window' .* cannot be 'x'; write seconds"),
    ],
)
def test_what_cannot_stand_in_the_table_is_told_by_its_key(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        load(tmp_path, text)


def test_an_order_that_rabbitmq_cannot_keep_is_told_where_there_is_more_than_one_queue() -> None:
    strict = PoolConfig(queues=("a", "b"), queue_order="strict")
    alone = PoolConfig(queues=("c",), queue_order="strict")
    assert order_without_effect({"default": strict, "one": alone, "fair": PoolConfig()}) == (
        "queue_order = strict has no effect on RabbitMQ (pool default)"
    )
    assert order_without_effect({"one": alone}) == ""
    assert order_without_effect({"x": strict, "y": strict}).endswith("(pools x, y)")
