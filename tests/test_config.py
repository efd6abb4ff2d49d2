from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from framecue.config import (
    PRESETS,
    BlendConfig,
    DataConfig,
    ModelConfig,
    RunConfig,
    TrainConfig,
    describe_keys,
    load_config,
    save_config,
)
from framecue.errors import ConfigError, UsageError

BASE = "out: runs/a\ndata:\n  source: videos\n"
CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


@pytest.fixture
def load(tmp_path):
    def load(text, *overrides):
        (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
        return load_config(tmp_path / "run.yaml", overrides)

    return load


@pytest.fixture
def problems(load):
    def problems(text, *overrides):
        with pytest.raises(ConfigError) as caught:
            load(text, *overrides)
        message = str(caught.value)
        assert "\n" not in message
        return message

    return problems


def test_defaults_are_the_papers(load):
    config = load(BASE)
    assert config.data == DataConfig(source=Path("videos"))
    assert (config.model.n_prefix, config.model.n_suffix, config.model.temporal_layers) == (16, 16, 2)
    assert (config.train.lr, config.train.weight_decay, config.train.restart_iterations) == (1e-4, 0.01, 200_000)
    assert config.train.strides == (1, 2, 3, 3, 3, 4)
    assert (config.model.temperature, config.train.max_negatives, config.evaluate.views) == (0.07, 400, 5)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_config_loads_and_its_header_holds_the_command(path):
    task = load_config(path).task
    assert f"framecue train {task} --config configs/{path.name}" in path.read_text(encoding="utf-8")


def test_configs_are_shipped():
    assert len(CONFIGS) >= 3


def test_overrides_are_parsed_as_yaml(load):
    config = load(
        BASE, "train.lr=3e-4", "data.classes=[jump, 'sit down']", "model.normalize=false", "features.store=null"
    )
    assert config.train.lr == 3e-4
    assert config.data.classes == ("jump", "sit down")
    assert config.model.normalize is False
    assert config.features.store is None


def test_override_may_hold_an_equals_sign_and_open_a_new_section(load):
    assert load(BASE, "backbone.id=a=b").backbone.id == "a=b"


def test_last_override_wins(load):
    assert load(BASE + "seed: 1\n", "seed=2", "seed=3").seed == 3


def test_home_is_expanded_and_relative_paths_stay_relative(load):
    config = load(BASE, "data.source=~/videos")
    assert config.data.source == Path.home() / "videos"
    assert config.out == Path("runs/a")


def test_section_with_all_keys_commented_out_counts_as_absent(load):
    assert load(BASE + "train:\n#  lr: 1\n") == load(BASE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train:\n  lrr: 1\n", "unknown key 'train.lrr'; did you mean 'train.lr'?"),
        ("lr: 1\n", "unknown key 'lr'; did you mean 'train.lr'?"),
        ("precision: fp32\n", "did you mean 'backbone.precision' or 'train.precision'?"),
        ("modle: {}\n", "unknown key 'modle'; did you mean 'model'?"),
        ("evaluate:\n  lr: 1\n", "unknown key 'evaluate.lr'; did you mean 'train.lr'?"),
        ("features:\n  xyz: 1\n", "unknown key 'features.xyz'; the keys there are features.store, features.sampling"),
        ("zzzz: 1\n", "unknown key 'zzzz'; the keys there are task, preset, seed, out, data"),
        ("train: 3\n", "'train' must be a section with keys of its own, found 3"),
        ("train: {lr: -1}\n", "'train.lr' must be greater than 0, found -1"),
        ("train: {lr: .nan}\n", "'train.lr' must be a finite number"),
        ("train: {iterations: many}\n", "'train.iterations' must be a whole number, found 'many'"),
        ("train: {iterations: 1.5}\n", "'train.iterations' must be a whole number, found 1.5"),
        ("train: {strides: 3}\n", "'train.strides' must be a list, as [a, b], found 3"),
        ("train: {strides: [1, 0]}\n", "'train.strides[1]' must be greater than 0, found 0"),
        ("train: {strides: []}\n", "'train.strides' must not be empty"),
        (
            "train: {text_path: fast}\n",
            "'train.text_path' must be 'auto', 'shared', 'truncated' or 'full', found 'fast'",
        ),
        ("model: {preset: A9}\n", "'A6' or 'A7', found 'A9'"),
        ("model: {n_prefix: -1}\n", "'model.n_prefix' must be greater than or equal to 0"),
        (
            "features: {sampling: 'fps:0'}\n",
            "'features.sampling' must be all, fps:NUMBER or uniform:COUNT, found 'fps:0'",
        ),
        ("evaluate: {templates: [a video]}\n", "every template must hold {} once, found 'a video'"),
        ("evaluate: {baselines: [B-3]}\n", "'evaluate.baselines[0]' must be 'B-I' or 'B-II', found 'B-3'"),
        ("seed: 1\nseed: 2\n", "run.yaml line 5 is not valid YAML: key 'seed' is given twice"),
        ("a: [1\n", "is not valid YAML"),
    ],
)
def test_one_clear_line(problems, text, said):
    message = problems(BASE + text)
    assert message.startswith("Config ")
    assert said in message


def test_all_problems_are_reported_at_once(problems):
    message = problems("train: {lrr: 1, lr: x}\nseed: -1\n")
    for said in ("'train.lrr'", "'train.lr' must be a number", "'seed' must", "key 'out'", "key 'data.source' (Folder"):
        assert said in message


def test_refused_items_are_not_also_called_too_few(problems):
    message = problems(BASE, "data.classes=[yes]")
    assert "'data.classes[0]' must be text; put it in quotes, found True" in message
    assert "must not be empty" not in message


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data.format=ucf101"], "'data.annotations' must name the folder of split files when 'data.format' is ucf101"),
        (["data.classes=[a, b]", "data.held_out=[c]"], "'data.held_out' must be among 'data.classes', found c"),
        (["data.val_fraction=1"], "'data.val_fraction' must be less than 1"),
        (["data.split=4"], "'data.split' must be 1, 2 or 3, found 4"),
    ],
)
def test_checks_across_keys(problems, overrides, said):
    assert said in problems(BASE, *overrides)


def test_override_below_a_value_is_refused(problems):
    assert "Override 'seed.a': 'seed' is a value, not a section" in problems(BASE + "seed: 3\n", "seed.a=1")


@pytest.mark.parametrize("text", ["train.lr", "=3", ".lr=3", "train.=3"])
def test_malformed_override_is_wrong_usage(load, text):
    with pytest.raises(UsageError, match=r"must have the form section\.key=value"):
        load(BASE, text)


@pytest.mark.parametrize(("text", "found"), [("", "nothing"), ("- a\n", "a list"), ("text\n", "a str")])
def test_file_without_keys(problems, text, found):
    assert f"must hold keys such as 'data:' and 'out:', found {found}" in problems(text)


def test_unreadable_file(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.yaml cannot be read: No such file"):
        load_config(tmp_path / "gone.yaml")
    (tmp_path / "latin.yaml").write_bytes("out: é\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_config(tmp_path / "latin.yaml")


def test_byte_order_mark_is_accepted(tmp_path):
    (tmp_path / "run.yaml").write_text(BASE, encoding="utf-8-sig")
    assert load_config(tmp_path / "run.yaml").out == Path("runs/a")


@pytest.mark.parametrize("name", PRESETS)
def test_preset_sets_prompts_and_layers(name):
    model = ModelConfig(preset=name)
    assert {key: getattr(model, key) for key in PRESETS[name]} == PRESETS[name]


def test_presets_are_the_papers():
    prompts = [(preset["n_prefix"], preset["n_suffix"]) for preset in PRESETS.values()]
    assert prompts == [(2, 2), (4, 4), (8, 8)] + [(16, 16)] * 5
    assert [preset["temporal_layers"] for preset in PRESETS.values()] == [0, 0, 0, 0, 1, 2, 3, 4]


def test_explicit_field_wins_over_the_preset_beside_it(load):
    model = load(BASE + "model: {preset: A3, n_prefix: 5}\n").model
    assert (model.n_prefix, model.n_suffix, model.temporal_layers) == (5, 16, 0)


def test_preset_on_the_command_line_outranks_fields_of_the_file(load):
    text = BASE + "model: {preset: A5, n_prefix: 16, temporal_layers: 2, num_frames: 8}\n"
    model = load(text, "model.preset=A0").model
    assert (model.n_prefix, model.n_suffix, model.temporal_layers, model.num_frames) == (2, 2, 0, 8)
    assert load(text, "model.preset=A0", "model.n_prefix=7").model.n_prefix == 7


@pytest.mark.parametrize(
    "overrides", [[], ["model.preset=A3", "model.n_prefix=3", "data.held_out=[é, 'no']", "train.lr=1e-5"]]
)
def test_saved_config_loads_equal_and_holds_every_key(load, tmp_path, overrides):
    config = load(BASE, *overrides)
    save_config(config, tmp_path / "resolved.yaml")
    assert load_config(tmp_path / "resolved.yaml") == config
    saved = yaml.safe_load((tmp_path / "resolved.yaml").read_text(encoding="utf-8"))
    for item in describe_keys():
        section, _, key = item.key.rpartition(".")
        assert key in (saved[section] if section else saved)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resolved.yaml", "run.yaml"]


def test_config_that_cannot_be_written(load, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written: "):
        save_config(load(BASE), tmp_path / "file" / "resolved.yaml")


def test_every_key_has_help():
    items = {item.key: item for item in describe_keys()}
    assert all(item.text.endswith(".") for item in items.values())
    assert [key for key, item in items.items() if item.default is None] == ["out", "data.source"]
    assert items["train.strides"].default == "[1, 2, 3, 3, 3, 4]"
    assert items["model.normalize"].default == "true"


def test_config_is_frozen(load):
    config = load(BASE)
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 3
    assert isinstance(config, RunConfig)


def test_values_that_yaml_itself_stumbles_over(problems):
    assert "holds a value that YAML cannot read" in problems(BASE, "train.lr=2001-99-99")
    assert "holds a value that YAML cannot read" in problems("seed: " + "[" * 5000)
    assert "'out' must be a path, found a null character in it" in problems(BASE, 'out="a\\0b"')


def test_sizes_that_no_memory_holds_are_refused(problems):
    for key in ("n_prefix", "n_suffix", "temporal_layers", "num_frames"):
        assert f"'model.{key}' must be less than or equal to" in problems(BASE, f"model.{key}={10**12}")


def test_robust_preset_fills_what_is_not_given(load):
    config = load(BASE + "preset: robust\n")
    assert config.preset == "robust"
    assert config.train == TrainConfig(distill_text=5.0)
    assert config.blend.temporal_weights == (1.0, 0.8, 0.6)
    assert config.blend.handcrafted_weights == (0.5,)
    assert config.blend.trained_weights == ()
    assert config.model == ModelConfig()
    assert load(BASE, "preset=robust") == config
    assert load(BASE + "preset: robust\ntrain:\nblend:\n") == config


def test_keys_given_win_over_the_run_preset(load):
    """Wherever they are given, and beside them the preset's others stay."""
    text = BASE + "preset: robust\ntrain: {lr: 0.01, distill_text: 0.5}\nblend: {temporal_weights: []}\n"
    overridden = load(BASE + "preset: robust\n", "train.lr=0.01", "train.distill_text=0.5", "blend.temporal_weights=[]")
    for config in (load(text), overridden):
        assert (config.train.lr, config.train.distill_text) == (0.01, 0.5)
        assert config.blend.temporal_weights == ()
        assert config.blend.handcrafted_weights == (0.5,)
    assert load(text, "train.distill_text=2").train.distill_text == 2


def test_paper_preset_is_the_default(load):
    assert load(BASE + "preset: paper\n") == load(BASE)
    assert load(BASE).preset == "paper"
    assert load(BASE + "preset: robust\n", "preset=paper") == load(BASE)
    assert (load(BASE).train, load(BASE).blend) == (TrainConfig(), BlendConfig())


def test_robust_config_is_saved_whole(load, tmp_path):
    config = load(BASE, "preset=robust", "train.distill_text=1", "model.preset=A3")
    save_config(config, tmp_path / "resolved.yaml")
    assert load_config(tmp_path / "resolved.yaml") == config


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("preset=robsut", "'preset' must be 'paper' or 'robust', found 'robsut'"),
        ("preset=A5", "'preset' must be 'paper' or 'robust', found 'A5'"),
        ("preset=3", "'preset' must be 'paper' or 'robust', found 3"),
        ("blend.temporal_weights=[0.5, 1.5]", "'blend.temporal_weights[1]' must be less than or equal to 1, found 1.5"),
        ("blend.temporal_weights=0.5", "'blend.temporal_weights' must be a list, as [a, b], found 0.5"),
        ("blend.standard_errors=-1", "'blend.standard_errors' must be greater than or equal to 0, found -1"),
        ("blend.weights=[1]", "unknown key 'blend.weights'; did you mean 'blend."),
        ("model.handcrafted_weight=1.1", "'model.handcrafted_weight' must be less than or equal to 1, found 1.1"),
        ("train.ema_decay=1", "'train.ema_decay' must be less than 1, found 1"),
        ("train.distill_text=-1", "'train.distill_text' must be greater than or equal to 0, found -1"),
    ],
)
def test_robust_keys_that_are_wrong(problems, override, expected):
    assert expected in problems(BASE + "preset: robust\n", override)


def test_a_run_preset_on_the_command_line_outranks_the_file_it_was_saved_in(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(f"out: {tmp_path}\ndata: {{source: videos}}\n")
    robust = load_config(file, ["preset=robust"])
    save_config(robust, tmp_path / "robust.yaml")
    save_config(load_config(file), tmp_path / "paper.yaml")
    assert load_config(tmp_path / "robust.yaml") == robust
    assert load_config(tmp_path / "robust.yaml", ["preset=paper"]) == load_config(file)
    assert load_config(tmp_path / "paper.yaml", ["preset=robust"]) == robust
    own = load_config(tmp_path / "paper.yaml", ["preset=robust", "train.distill_text=2"])
    assert (own.train.distill_text, own.blend) == (2, robust.blend)
