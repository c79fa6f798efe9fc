"""Makes the pages, which are written for the repository, those of a site. Whatever is wrong is a warning, and the build
is strict: a warning fails it."""

import logging
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File
from pymdownx.slugs import slugify

log = logging.getLogger("mkdocs.hooks.castellan")
root = Path(__file__).resolve().parents[2]
# Pages of the site that stand in the top folder.
top = ("CHANGELOG.md", "CONTRIBUTING.md")

code = re.compile(r"(^[ ]*```.*?^[ ]*```[ \t]*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
links = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")
fetched = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*>")


def on_config(config):
    # Anchors as the repository's own view makes them, so that a link is right in both.
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugify(case="lower")
    return config


def on_files(files, config):
    for name in top:
        files.append(File.generated(config, name, abs_src_path=str(root / name)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Gives links a target in the site where there is one, else in the repository."""
    source = page.file.src_uri
    folder = "" if source in top else posixpath.join("docs", posixpath.dirname(source))
    here = posixpath.dirname(source)

    def target(match):
        path = posixpath.normpath(posixpath.join(folder, match[2]))
        if path == "README.md":
            pass
        elif path in top:
            return match[1] + posixpath.relpath(path, here or ".") + match[3]
        elif path.startswith("docs/") and files.get_file_from_path(path.removeprefix("docs/")):
            return match[1] + posixpath.relpath(path.removeprefix("docs/"), here or ".") + match[3]
        if not (root / path).exists():
            log.warning("%s: there is no %s", source, path)
        return match[1] + config.extra["sources"] + path + match[3]

    parts = code.split(markdown)
    parts[::2] = [links.sub(target, prose) for prose in parts[::2]]
    parts[1::2] = map(block, parts[1::2])
    return "".join(parts)


def block(text):
    """A block of code as mkdocs reads it: without the words behind the language, which are for the tests, and in a list
    four spaces in."""
    text = re.sub(r"^( *```[a-z]+) .*", r"\1", text)
    inset = len(text) - len(text.lstrip(" "))
    return re.sub("^", " " * (4 - inset), text, flags=re.MULTILINE) if 0 < inset < 4 else text


def on_post_page(output, page, config):
    for tag in fetched.findall(output):
        log.warning("%s: a reader's browser would fetch %s", page.file.src_uri, tag)
    return output
