"""t5music: transfer learning for symbolic music, text in and text out.

The package imports nothing heavy: `import t5music` costs milliseconds. Import the module you need, for example
`from t5music.music import midi`.
"""

__version__ = "0.1.0"
