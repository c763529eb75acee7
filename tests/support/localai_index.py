"""A gallery index of LocalAI's size and kind: 1,709 entries, 2.4 MB, 62 anchors, 116 merge keys."""

import io

ENTRIES, FAMILY = 1709, 28
PROSE = "  A line of a description that says what the model is good at, and nothing more than that."


def gallery_index(entries: int = ENTRIES) -> bytes:
    """Return the index as YAML; every 28th entry has an anchor, and two of the next 27 merge it."""
    text = io.StringIO()
    text.write("---\n")
    for number in range(entries):
        lines = _entry(number)
        member = number % FAMILY
        if member == 0:
            lines = [f"&family{number // FAMILY}", *_shared(number), *lines]
        elif member in (1, 15) and number < 58 * FAMILY:
            lines = [f"!!merge <<: *family{number // FAMILY}", *lines]
        else:
            lines = [*_shared(number), *lines]
        text.write("- " + "\n  ".join(lines) + "\n")
    return text.getvalue().encode()


def _shared(number: int) -> list[str]:
    icon = f"icon: https://cdn.example/production/uploads/{number:024x}/{number:020d}.png"
    return [icon, "license: apache-2.0", "tags:", "  - llm", "  - gguf", "  - cpu", "  - gpu"]


def _entry(number: int) -> list[str]:
    file = f"Model-{number}-{number % 70 + 1}B-Q4_K_M.gguf"
    return [
        f'name: "Model-{number}-{number % 70 + 1}B"',
        'url: "github:mudler/LocalAI/gallery/virtual.yaml@master"',
        "urls:",
        f"  - https://huggingface.co/maker-{number % 50}/Model-{number}",
        "description: |",
        *[PROSE] * 8,
        "overrides:",
        "  backend: llama-cpp",
        "  known_usecases:",
        "    - chat",
        "  parameters:",
        f"    model: llama-cpp/models/{file}",
        "    temperature: 0.7",
        "files:",
        f"  - filename: llama-cpp/models/{file}",
        f"    uri: huggingface://quantizer/Model-{number}-GGUF/{file}",
        f"    sha256: {number:064x}",
    ]
