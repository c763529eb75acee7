"""Layouts of other programs, opened by readers that follow those programs' sources."""

import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from support import app_readers
from support.app_readers import (
    read_comfyui,
    read_jan,
    read_llama_cpp,
    read_lm_studio,
    read_localai,
    read_ollama,
)
from support.gguf_files import GgufFile, llama_8b
from support.models import gguf, mlx_folder
from support.models import safetensors as plain_safetensors
from support.placements import COMMIT, apply_plan, make_installed

from flowhub_jobs.errors import PlacementRefused
from flowhub_jobs.placement.apps import APPS, app_named
from flowhub_jobs.placement.values import PlannedText
from flowhub_jobs.values.enums import HubFormat, RepoKind

REPO = {"repository": "Qwen/Qwen3-14B-GGUF"}
FILE = "Qwen3-14B-Q4_K_M.gguf"
SPLIT = {f"Q8_0/Qwen3-14B-Q8_0-0000{n}-of-00003.gguf": gguf(500, n) for n in (1, 2, 3)}
MMPROJ = "mmproj-Qwen3-14B-F16.gguf"
GGUF_APPS = ("lm-studio", "ollama", "jan", "localai", "llama-cpp")


@pytest.fixture
def weights(tmp_path):
    """Return a GGUF file of an 8B of the Llama kind, as the format's own library writes it."""
    return llama_8b(GgufFile(tmp_path / "written.gguf")).read_bytes()


def safetensors(*names, **metadata):
    """Return a safetensors file of empty tensors with these names."""
    header = {name: {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]} for name in names}
    text = json.dumps(({"__metadata__": metadata} if metadata else {}) | header).encode()
    return struct.pack("<Q", len(text)) + text


def place(tmp_path, app, files, **fields):
    """Place files for a program below tmp_path/app; return that folder and the plan."""
    links = {name: fields.pop(name) for name in ("symlinks", "without_symlinks") if name in fields}
    root = tmp_path / "app"
    plan = app_named(app).plan(make_installed(tmp_path / "store", files, **fields), root)
    apply_plan(plan, **links)
    return root, plan


def refusal(tmp_path, app, files, **fields):
    with pytest.raises(PlacementRefused) as raised:
        place(tmp_path, app, files, **fields)
    assert raised.value.hint
    return raised.value.message


# All programs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("app", [app for app in APPS if app in (*GGUF_APPS, "comfyui")])
def test_a_plan_stays_inside_the_folder_and_names_its_manifest_after_its_weights(tmp_path, app):
    files = {f"split_files/vae/{FILE}": gguf(), f"split_files/vae/{MMPROJ}": gguf(seed=1)}
    root, plan = place(tmp_path, app, files, **REPO)
    assert all(entry.target.is_relative_to(root) for entry in plan.entries)
    assert len({entry.target for entry in plan.entries}) == len(plan.entries)
    assert plan.path.is_relative_to(root)
    texts = [isinstance(entry, PlannedText) for entry in plan.entries]
    assert texts == sorted(texts)
    assert os.path.exists(plan.path)


@pytest.mark.parametrize("app", GGUF_APPS)
@pytest.mark.parametrize("weights_format", [HubFormat.SAFETENSORS, None])
def test_weights_that_a_program_does_not_load_are_refused(tmp_path, app, weights_format):
    files = {"config.json": b"{}", "model.safetensors": plain_safetensors()}
    message = refusal(tmp_path, app, files, name="qwen3", format=weights_format, **REPO)
    assert "qwen3" in message
    assert "GGUF" in message


@pytest.mark.parametrize("app", ["ollama", "jan", "localai"])
def test_a_projector_alone_is_refused(tmp_path, app):
    assert "projector" in refusal(tmp_path, app, {MMPROJ: gguf()}, **REPO)


def test_a_projector_that_was_downloaded_by_itself_joins_its_model(tmp_path, weights):
    place(tmp_path, "lm-studio", {FILE: weights}, **REPO)
    root, _ = place(tmp_path, "lm-studio", {MMPROJ: gguf(seed=3)}, **REPO)
    assert read_lm_studio(root) == {REPO["repository"]: [FILE, MMPROJ]}


def test_llama_server_finds_a_projector_that_was_downloaded_by_itself(tmp_path, weights):
    store, root = tmp_path / "store", tmp_path / "app"
    complete_model = make_installed(store, {FILE: weights, MMPROJ: gguf(seed=3)}, name="m", **REPO)
    for files in (complete_model.files[:1], complete_model.files[1:]):
        plan = app_named("llama-cpp").plan(replace(complete_model, files=files), root)
        apply_plan(replace(plan, entries=tuple(entry for entry in plan.entries if not entry.target.exists())))
    assert read_llama_cpp(root, REPO["repository"])["projector"].read_bytes() == gguf(seed=3)


@pytest.mark.parametrize("app", GGUF_APPS)
def test_a_model_that_lacks_a_part_is_refused(tmp_path, app):
    files = dict(list(SPLIT.items())[:2])
    assert "lacks 1 of the 3 parts" in refusal(tmp_path, app, files, name="qwen3", **REPO)


# LM Studio ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symlinks", [False, True])
def test_lm_studio_lists_a_model_by_publisher_and_repository(tmp_path, symlinks):
    root, plan = place(tmp_path, "lm-studio", {FILE: gguf()}, symlinks=symlinks, **REPO)
    assert read_lm_studio(root) == {"Qwen/Qwen3-14B-GGUF": [FILE]}
    assert plan.path == root / "Qwen" / "Qwen3-14B-GGUF" / FILE
    assert plan.path.read_bytes() == gguf()


def test_lm_studio_gets_all_parts_and_the_projector_side_by_side_and_nothing_else(tmp_path):
    files = SPLIT | {MMPROJ: gguf(seed=9), "README.md": b"#", "imatrix.gguf": gguf(seed=8)}
    root, _ = place(tmp_path, "lm-studio", files, name="qwen3", **REPO)
    names = sorted([MMPROJ, *(path.rpartition("/")[2] for path in SPLIT)])
    assert read_lm_studio(root) == {"Qwen/Qwen3-14B-GGUF": names}


def test_lm_studio_gets_an_mlx_model_whole(tmp_path):
    root, _ = place(tmp_path, "lm-studio", mlx_folder(), name="q", format=HubFormat.MLX, repository="mlx/q-4bit")
    assert read_lm_studio(root) == {"mlx/q-4bit": ["config.json", "model.safetensors", "tokenizer.json"]}


def test_lm_studio_refuses_mlx_weights_without_their_config(tmp_path):
    message = refusal(tmp_path, "lm-studio", {"m.safetensors": plain_safetensors()}, format=HubFormat.MLX)
    assert "config.json" in message


def test_lm_studio_refuses_two_files_of_one_name(tmp_path):
    files = {"a/model-Q4_0.gguf": gguf(), "b/model-Q4_0.gguf": gguf(seed=1)}
    assert "one folder" in refusal(tmp_path, "lm-studio", files, name="m", **REPO)


def test_a_model_of_no_repository_has_the_owner_flowhub(tmp_path):
    root, _ = place(tmp_path, "lm-studio", {"x.gguf": gguf()}, model="qwen3-14b", option="q4")
    assert read_lm_studio(root) == {"flowhub/qwen3-14b": ["x.gguf"]}


# Ollama -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symlinks", [False, True])
def test_ollama_lists_and_opens_a_model_of_the_catalog(tmp_path, weights, symlinks):
    fields = {"model": "qwen3-14b", "option": "q4_k_m"}
    root, plan = place(tmp_path, "ollama", {FILE: weights}, symlinks=symlinks, **fields)
    models = read_ollama(root)
    assert list(models) == ["qwen3-14b:q4_k_m"]
    model = models["qwen3-14b:q4_k_m"]
    assert model.weights.read_bytes() == weights
    assert model.config["model_family"] == "llama"
    assert model.config["file_type"] == "Q4_K_M"
    assert plan.path == root / "manifests/registry.ollama.ai/library/qwen3-14b/q4_k_m"
    assert plan.notes == ("Run it with `ollama run qwen3-14b:q4_k_m`.",)


def test_ollama_has_a_model_of_the_hub_under_the_name_that_it_pulls_it_by(tmp_path, weights):
    root, _ = place(tmp_path, "ollama", {FILE: weights}, **REPO)
    assert list(read_ollama(root)) == ["hf.co/Qwen/Qwen3-14B-GGUF:Q4_K_M"]


def test_ollama_gets_the_projector_of_a_model_for_images(tmp_path, weights):
    files = {FILE: weights, MMPROJ: gguf(seed=3), "mmproj-Qwen3-14B-F32.gguf": gguf(seed=4)}
    root, _ = place(tmp_path, "ollama", files, name="qwen3", **REPO)
    [model] = read_ollama(root).values()
    assert [path.read_bytes() for path in model.projectors] == [gguf(seed=3)]
    assert model.config["model_families"] == ["llama", "clip"]


@pytest.mark.parametrize(
    ("family", "renderer", "parameters"),
    [("gemma4", "gemma4", {"stop": ["<turn|>"]}), ("nemotron_h", "nemotron-3-nano", {}), ("llama", None, {})],
)
def test_ollama_gets_the_parameters_that_its_own_import_would_choose(tmp_path, family, renderer, parameters):
    content = GgufFile(tmp_path / "w.gguf", family).with_values(file_type=15).write().read_bytes()
    root, _ = place(tmp_path, "ollama", {"m-Q4_K_M.gguf": content}, model="m", option="q4")
    [model] = read_ollama(root).values()
    assert (model.config.get("renderer"), model.config.get("parser")) == (renderer, renderer)
    assert model.parameters == parameters


def test_ollama_refuses_a_model_in_several_parts(tmp_path):
    assert "in 3 parts" in refusal(tmp_path, "ollama", SPLIT, name="qwen3", **REPO)


def test_ollama_has_each_quantization_of_a_repository(tmp_path, weights):
    files = {"m-Q4_K_M.gguf": weights, "m-Q8_0.gguf": gguf(seed=2), MMPROJ: gguf(seed=3)}
    root, plan = place(tmp_path, "ollama", files, name="m", **REPO)
    assert set(read_ollama(root)) == {"hf.co/Qwen/Qwen3-14B-GGUF:m-Q4_K_M", "hf.co/Qwen/Qwen3-14B-GGUF:m-Q8_0"}
    assert plan.path == root / "manifests/hf.co/Qwen/Qwen3-14B-GGUF"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("a+b é.gguf", {}),
        (".hidden name.gguf", {}),
        ("x" * 150 + ".gguf", {}),
        ("m.gguf", {"repository": "a.b/c"}),
        ("m.gguf", {"repository": "-a/c"}),
        ("m.gguf", {"repository": "a/.-c"}),
        ("m-Q8_0.gguf", {"repository": f"Dav/{'long-' * 18}GGUF"}),
        ("m.gguf", {"model": "m", "option": "cloud"}),
        ("m.gguf", {"model": "m", "option": "x-cloud"}),
    ],
)
def test_ollama_gets_a_name_that_it_allows(tmp_path, name, fields):
    root, _ = place(tmp_path, "ollama", {name: gguf()}, **fields)
    [listed] = read_ollama(root)
    assert not listed.lower().endswith("cloud")


def test_ollamas_prune_keeps_what_was_placed(tmp_path, weights):
    root, _ = place(tmp_path, "ollama", {FILE: weights, MMPROJ: gguf(seed=3)}, name="m", **REPO)
    assert app_readers.ollama_prune(root) == []


@pytest.mark.parametrize("folder", ["manifests", "manifests-v2"])
def test_a_blob_that_a_manifest_of_ollamas_own_needs_stays(tmp_path, weights, folder):
    root, plan = place(tmp_path, "ollama", {FILE: weights}, model="m", option="q4")
    app, targets = app_named("ollama"), frozenset(entry.target for entry in plan.entries)
    assert app.still_needed(root, targets) == frozenset()
    copied = root / folder / "registry.ollama.ai" / "library" / "mine" / "latest"
    copied.parent.mkdir(parents=True)
    copied.write_bytes(plan.path.read_bytes())
    assert app.still_needed(root, targets) == targets - {plan.path}


def test_a_blob_that_a_variant_in_a_list_of_manifests_needs_stays(tmp_path, weights):
    root, plan = place(tmp_path, "ollama", {FILE: weights}, model="m", option="q4")
    targets = frozenset(entry.target for entry in plan.entries)
    variant = app_readers.write_blob(root, plan.path.read_bytes())
    media = "application/vnd.ollama.manifest.list.v2+json"
    manifest_list = {"schemaVersion": 2, "mediaType": media, "manifests": [{"digest": variant, "runner": "llamacpp"}]}
    entry = root / "manifests-v2" / "ollama.com" / "library" / "mine" / "latest"
    entry.parent.mkdir(parents=True)
    blob = app_readers.write_blob(root, json.dumps(manifest_list).encode())
    entry.symlink_to(root / "blobs" / blob.replace(":", "-"))
    assert app_named("ollama").still_needed(root, targets) == targets - {plan.path}


@pytest.mark.parametrize(
    "content", [b"", b"[", b"[1]", b'{"layers": 3, "manifests": [4]}', b'{"config": {"digest": 3}}']
)
def test_a_damaged_manifest_needs_nothing(tmp_path, content):
    root, plan = place(tmp_path, "ollama", {FILE: gguf()}, model="m", option="q4")
    plan.path.with_name("damaged").write_bytes(content)
    targets = frozenset(entry.target for entry in plan.entries)
    assert app_named("ollama").still_needed(root, targets) == frozenset()


# llama.cpp ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symlinks", [False, True])
@pytest.mark.parametrize("tag", ["", "Q4_K_M", "q4_k_m"])
def test_llama_server_opens_a_model_by_repository_and_quant(tmp_path, weights, symlinks, tag):
    files = {FILE: weights, "Qwen3-14B-F16.gguf": gguf(), MMPROJ: gguf(seed=9)}
    root, plan = place(tmp_path, "llama-cpp", files, name="q", symlinks=symlinks, **REPO)
    model = read_llama_cpp(root, REPO["repository"], tag)
    assert [path.read_bytes() for path in model["parts"]] == [weights]
    assert model["projector"].read_bytes() == gguf(seed=9)
    assert plan.notes == ("Run it with `llama-server -hf Qwen/Qwen3-14B-GGUF:Q4_K_M`.",)


def test_llama_server_opens_a_model_in_parts(tmp_path):
    root, _ = place(tmp_path, "llama-cpp", SPLIT, name="q", **REPO)
    model = read_llama_cpp(root, REPO["repository"], "Q8_0")
    assert [path.read_bytes() for path in model["parts"]] == list(SPLIT.values())


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT])
def test_llama_server_opens_a_model_whatever_revision_was_requested(tmp_path, revision):
    root = tmp_path / "app"
    model = replace(make_installed(tmp_path / "store", {FILE: gguf()}, **REPO), revision=revision)
    apply_plan(app_named("llama-cpp").plan(model, root))
    assert read_llama_cpp(root, REPO["repository"])["parts"][0].read_bytes() == gguf()


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({}, "models of the Hub alone"),
        ({"repository": "q/d", "kind": RepoKind.DATASET}, "models of the Hub alone"),
        ({"repository": "q/.-d"}, "does not accept the repository name"),
    ],
)
def test_llama_cpp_refuses_what_its_cache_cannot_have(tmp_path, fields, part):
    assert part in refusal(tmp_path, "llama-cpp", {FILE: gguf()}, **fields)


def test_llama_cpps_cache_is_the_hubs_unless_it_has_its_own(tmp_path):
    (tmp_path / ".cache" / "llama.cpp").mkdir(parents=True)  # of a version before 2026
    app = app_named("llama-cpp")
    assert app.default_root({}, tmp_path) == app_named("hf-cache").default_root({}, tmp_path)
    assert app.default_root({"LLAMA_CACHE": "/l"}, tmp_path) == Path("/l")


# Jan ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symlinks", [False, True])
def test_jan_lists_a_model_under_its_owner_and_file(tmp_path, weights, symlinks):
    root, _ = place(tmp_path, "jan", {FILE: weights}, symlinks=symlinks, **REPO)
    models = read_jan(root)
    assert list(models) == ["Qwen/Qwen3-14B-Q4_K_M"]
    [model] = models.values()
    assert [path.read_bytes() for path in model.weights] == [weights]
    assert model.config["embedding"] is False
    assert model.weights[0].is_relative_to(root)


def test_jan_gets_all_parts_and_the_projector(tmp_path):
    root, _ = place(tmp_path, "jan", SPLIT | {MMPROJ: gguf(seed=9)}, name="qwen3", **REPO)
    [model] = read_jan(root).values()
    assert [path.read_bytes() for path in model.weights] == list(SPLIT.values())
    assert model.projector.read_bytes() == gguf(seed=9)
    assert model.config["size_bytes"] == sum(map(len, SPLIT.values())) + len(gguf(seed=9))


def test_jan_opens_the_stores_file_where_its_folder_can_have_no_links(tmp_path, weights):
    root, plan = place(tmp_path, "jan", {FILE: weights}, without_symlinks=True, **REPO)
    assert [type(entry) for entry in plan.without_symlinks] == [PlannedText]
    [model] = read_jan(root).values()
    assert model.weights == [tmp_path / "store" / FILE]


def test_jan_knows_a_model_for_embeddings(tmp_path):
    content = GgufFile(tmp_path / "w.gguf", "nomic-bert").with_values(file_type=1).write().read_bytes()
    root, _ = place(tmp_path, "jan", {"nomic-F16.gguf": content}, repository="n/e")
    assert read_jan(root)["n/nomic-F16"].config["embedding"] is True


@pytest.mark.parametrize("without_symlinks", [False, True])
def test_jan_gets_an_mlx_model_whole(tmp_path, without_symlinks):
    fields = {"name": "q", "format": HubFormat.MLX, "repository": "mlx/q-4bit"}
    root, _ = place(tmp_path, "jan", mlx_folder(), without_symlinks=without_symlinks, **fields)
    [model] = read_jan(root, "mlx").values()
    assert model.weights[0].with_name("config.json").is_file()


def test_jan_refuses_mlx_weights_without_their_config(tmp_path):
    message = refusal(tmp_path, "jan", {"m.safetensors": plain_safetensors()}, format=HubFormat.MLX)
    assert "config.json" in message


@pytest.mark.parametrize("app", ["jan", "localai"])
def test_a_name_with_special_characters_is_written_as_yaml_and_as_the_program_allows(tmp_path, app):
    read_app = {"jan": read_jan, "localai": read_localai}[app]
    root, _ = place(tmp_path, app, {"a: b's #1 é.gguf": gguf()})
    [name] = read_app(root)
    assert name.rpartition("/")[2] == "a-b-s-1"


# LocalAI ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symlinks", [False, True])
def test_localai_lists_a_model_by_its_file(tmp_path, weights, symlinks):
    root, plan = place(tmp_path, "localai", {FILE: weights}, symlinks=symlinks, **REPO)
    models = read_localai(root)
    assert list(models) == ["Qwen3-14B-Q4_K_M"]
    assert models["Qwen3-14B-Q4_K_M"]["weights"][0].read_bytes() == weights
    assert models["Qwen3-14B-Q4_K_M"]["known_usecases"] == ["chat"]
    assert plan.path == root / "Qwen3-14B-Q4_K_M.yaml"


def test_localai_gets_all_parts_and_the_projector(tmp_path):
    root, _ = place(tmp_path, "localai", SPLIT | {MMPROJ: gguf(seed=9)}, name="qwen3", **REPO)
    [model] = read_localai(root).values()
    assert [path.read_bytes() for path in model["weights"]] == list(SPLIT.values())
    assert model["projector"].read_bytes() == gguf(seed=9)


def test_localai_knows_a_model_for_embeddings(tmp_path):
    content = GgufFile(tmp_path / "w.gguf", "bert").with_values(file_type=1).write().read_bytes()
    root, _ = place(tmp_path, "localai", {"e-F16.gguf": content})
    [model] = read_localai(root).values()
    assert (model["known_usecases"], model["embeddings"]) == (["embeddings"], True)


@pytest.mark.parametrize("app", ["localai", "comfyui"])
def test_a_program_without_a_usual_folder_needs_a_setting(tmp_path, app, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.store.app_folders._is_folder", lambda path: False)
    with pytest.raises(PlacementRefused) as raised:
        app_named(app).default_root({}, tmp_path)
    assert "[apps]" in raised.value.hint


# ComfyUI ------------------------------------------------------------------------------------------------------------

UNET, VAE = "model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.conv_in.weight"


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ([UNET, VAE], "checkpoints"),
        ([UNET], "diffusion_models"),
        (["double_blocks.0.img_attn.qkv.weight"], "diffusion_models"),
        (["transformer_blocks.0.attn.to_q.weight"], "diffusion_models"),
        (["lora_unet_down_blocks_0.lora_down.weight"], "loras"),
        (["transformer.single_blocks.0.lora_A.weight"], "loras"),
        (["decoder.conv_in.weight", "encoder.conv_in.weight"], "vae"),
        (["shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"], "text_encoders"),
        (["text_model.encoder.layers.0.mlp.fc1.weight"], "text_encoders"),
        (["vision_model.embeddings.class_embedding"], "clip_vision"),
        (["control_model.input_blocks.0.0.weight"], "controlnet"),
    ],
)
def test_comfyui_gets_a_file_by_what_its_tensors_are(tmp_path, names, kind):
    root, _ = place(tmp_path, "comfyui", {"some-file.safetensors": safetensors(*names)}, format=HubFormat.SAFETENSORS)
    assert read_comfyui(root) == {kind: ["some-file.safetensors"]}


def test_comfyui_gets_each_file_of_a_repository_that_is_made_for_it(tmp_path):
    files = {
        "split_files/text_encoders/qwen_2.5_vl_7b.safetensors": safetensors("model.layers.0.mlp.up_proj.weight"),
        "split_files/diffusion_models/qwen_image.safetensors": safetensors(UNET),
        "split_files/vae/qwen_image_vae.safetensors": safetensors("conv1.weight"),
        "README.md": b"#",
    }
    fields = {"name": "q", "format": HubFormat.SAFETENSORS, "repository": "Comfy-Org/Qwen-Image_ComfyUI"}
    root, plan = place(tmp_path, "comfyui", files, **fields)
    assert read_comfyui(root) == {
        "text_encoders": ["qwen_2.5_vl_7b.safetensors"],
        "diffusion_models": ["qwen_image.safetensors"],
        "vae": ["qwen_image_vae.safetensors"],
    }
    assert plan.path == root


@pytest.mark.parametrize("folder", ["unet", "clip"])
def test_comfyui_gets_the_older_names_of_folders_as_the_new_ones(tmp_path, folder):
    path = f"{folder}/f.safetensors"
    root, _ = place(tmp_path, "comfyui", {path: safetensors("x")}, name="m", format=HubFormat.SAFETENSORS)
    assert list(read_comfyui(root)) == [{"unet": "diffusion_models", "clip": "text_encoders"}[folder]]


def test_comfyui_has_a_file_of_a_general_name_under_its_models(tmp_path):
    name = "pytorch_lora_weights.safetensors"
    content = safetensors("unet.down_blocks.0.lora.up.weight")
    root, _ = place(tmp_path, "comfyui", {name: content}, format=HubFormat.SAFETENSORS, repository="me/pixel-art")
    assert read_comfyui(root) == {"loras": ["pixel-art.safetensors"]}


def test_comfyui_tells_files_of_one_name_apart_by_their_folders(tmp_path):
    files = {f"{quality}/vae/x.safetensors": safetensors("a", q=quality) for quality in ("low", "high")}
    root, _ = place(tmp_path, "comfyui", files, name="m", format=HubFormat.SAFETENSORS, repository="me/v")
    assert read_comfyui(root) == {"vae": ["v/high/vae/x.safetensors", "v/low/vae/x.safetensors"]}


def test_comfyui_gets_a_pipeline_of_diffusers_whole(tmp_path):
    files = {"model_index.json": b"{}", "unet/diffusion_pytorch_model.safetensors": safetensors("conv_in.weight")}
    root, plan = place(tmp_path, "comfyui", files, name="m", format=HubFormat.SAFETENSORS, repository="me/sdxl")
    assert plan.path == root / "diffusers" / "sdxl"
    assert (plan.path / "model_index.json").read_bytes() == b"{}"


@pytest.mark.parametrize(
    ("files", "weights_format", "part"),
    [
        ({"model.safetensors": safetensors("model.layers.0.mlp.up_proj.weight")}, HubFormat.SAFETENSORS, "which part"),
        ({"x.safetensors": b"not one"}, HubFormat.SAFETENSORS, "which part"),
        ({"4x-UltraSharp.pth": b"\x80\x02"}, None, "which part"),
        ({"README.md": b"#"}, None, "no weights"),
        (mlx_folder(), HubFormat.MLX, "MLX"),
    ],
)
def test_comfyui_refuses_files_that_it_could_not_find(tmp_path, files, weights_format, part):
    assert part in refusal(tmp_path, "comfyui", files, format=weights_format)


def test_comfyui_says_that_gguf_needs_a_custom_node(tmp_path):
    _, plan = place(tmp_path, "comfyui", {"flux1-dev-Q4_0.gguf": gguf()}, repository="city96/FLUX.1-dev-gguf")
    assert plan.path.parent.name == "diffusion_models"
    assert any("ComfyUI-GGUF" in note for note in plan.notes)


# Readers that refuse -------------------------------------------------------------------------------------------------


def test_the_readers_refuse_what_the_programs_refuse(tmp_path):
    """A reader that accepted everything would prove nothing."""
    root, plan = place(tmp_path, "ollama", {FILE: gguf()}, model="m", option="q4")
    Path(plan.path).with_name(".flowhub-1").write_bytes(plan.path.read_bytes())
    with pytest.raises(app_readers.NotLoadable):
        read_ollama(root)
    (tmp_path / "lms").mkdir()
    (tmp_path / "lms" / "x.gguf").write_bytes(gguf())
    with pytest.raises(app_readers.NotLoadable):
        read_lm_studio(tmp_path / "lms")
    (tmp_path / "ai").mkdir()
    (tmp_path / "ai" / "x.gguf").write_bytes(gguf())
    with pytest.raises(app_readers.NotLoadable):
        read_localai(tmp_path / "ai")
