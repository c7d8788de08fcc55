"""Which language a text is in, by script, and for Latin script by its commonest words."""

from __future__ import annotations

import re

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN = re.compile(r"[a-zà-öø-ÿœ]+")
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af\u1100-\u11ff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
)
_COMMON = {
    "pt": "não nao meu minha você voce pedido onde está quero para uma com produto ainda do da eu por chegou",
    "es": "mi pedido dónde donde está quiero una el los por qué que con para no ha llegado hola del tengo",
    "fr": "je mon ma où est le la les une pas commande pour avec bonjour vous ne colis reçu ai des du",
    "de": "ich mein meine wo ist das die der nicht bestellung und für mit bitte noch paket eine habe wie",
    "en": "the i my is a to it you and can how when where do not for in of have order was what this on me your get no",
}
_WORDS = {code: frozenset(words.split()) for code, words in _COMMON.items()}


def language_of(text: str) -> str:
    """BCP 47 code of a canonical text; "" where it shows no letters.

    A few Chinese words in Latin text, or the reverse, do not decide: Chinese needs one Han character for every three
    Latin words. Latin script whose words are in no list counts as English.
    """
    for code, script in _SCRIPTS:
        if script.search(text):
            return code
    han = len(_HAN.findall(text))
    words = _LATIN.findall(text)
    if han and han * 3 >= len(words):
        return "zh"
    if not words:
        return ""
    return max(("en", "pt", "es", "fr", "de"), key=lambda code: sum(word in _WORDS[code] for word in words))
