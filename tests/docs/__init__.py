"""The documentation as a program: every example in it is run, every name in it looked up.

A page is Markdown. What stands in a fenced block is told by its info string:

- `toml`: a comfy-env.toml that is read without an error or a warning. `toml root`: a comfy-env-root.toml. `toml fails`:
  the error is in the `text` block that follows. `toml older`: read with warnings, which are in the `text` block that
  follows, if one does. `toml foreign`: any other TOML.
- `console`: commands after `$ ` and, below each, what it writes. Run in the custom_nodes of a stage, in the order of
  the page. `console exit=1`: the code that the last one ends with.
- `sh`, `bat`: commands that are not run: they fetch things, or belong to another system. Each has to exist.
- `python`: executed. `json`, `ini`: parsed. `json settings`: what settings.json may hold. `text`: none of these;
  nothing of it is checked.
- `served` behind `console` or `python`: talks to a server, see `test_docs_served`.
- `file=PATH` behind any of them: what a file of the stage holds, below custom_nodes.

`<!-- stage: OTHER.md -->` at the top of a page: its stage begins with the files of that page.
"""
