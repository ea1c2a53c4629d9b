"""Fake English sentences: some words depend on the emotion, some on who writes, the rest on nothing.

For tests and the demo only. A sentence is drawn from its emotion's words, from those of a related emotion and from
words that everybody uses, so classes overlap and a classifier of words is good but not perfect.
"""

from __future__ import annotations

import numpy as np

# emotion -> words that go with it; emotions without words of their own borrow those of `_NEAR`
_WORDS = {
    "neutral": "noted scheduled listed ordinary usual standard printed counted",
    "calm": "quiet gentle still breathing slowly unhurried settled mild",
    "happiness": "happy delighted smiling wonderful cheerful lovely sunny laughing",
    "sadness": "sad crying lonesome lost gloomy tears sorrow heavy",
    "anger": "furious angry shouting unfair slammed outrageous rude hate",
    "fear": "scared frightened trembling dark danger hiding dread screaming",
    "disgust": "disgusting rotten filthy nauseous slimy gross stench mouldy",
    "surprise": "suddenly unexpected wow astonished unbelievable stunned really gasped",
    "excitement": "thrilled amazing tonight tickets countdown pumped epic finally",
    "admiration": "brilliant impressive talented inspiring respect masterful bravo hero",
    "amusement": "hilarious joke funny giggling lol comedy silly laughed",
    "annoyance": "annoying ugh again pointless noisy bothering tiresome irritating",
    "anticipation": "soon waiting tomorrow expecting planning upcoming ready until",
    "anxiety": "worried nervous restless uneasy deadline doubts sleepless tense",
    "approval": "agreed good right exactly fair support sensible yes",
    "caring": "take care gently help comfort safe warm hug",
    "confidence": "certain sure capable prepared strong nailed easily trained",
    "confusion": "confused unclear puzzled why lost meaning which huh",
    "curiosity": "wonder curious how what question explore learn tell",
    "desire": "want wish crave longing dream need badly hungry",
    "disappointment": "disappointed letdown expected better failed missed sadly underwhelming",
    "disapproval": "wrong disagree shouldn't bad against refuse unacceptable no",
    "embarrassment": "embarrassed blushing awkward tripped cringe red-faced stammered oops",
    "gratitude": "thanks grateful thankful appreciate kind blessed gift helped",
    "grief": "funeral mourning buried passed grave loss weeping widow",
    "guilt": "guilty fault lied cheated confess broke promise blame",
    "hope": "hope hopefully maybe better someday pray bright chance",
    "jealousy": "jealous envy theirs why-not-me compared rival coveted unfairly",
    "loneliness": "alone lonely nobody empty isolated silent friendless apart",
    "love": "love adore darling beloved heart kiss forever dear",
    "nostalgia": "remember childhood old days used photographs back then",
    "optimism": "will improve bright confident future better surely upbeat",
    "pessimism": "never hopeless doomed worse useless bleak pointless inevitable",
    "pride": "proud achieved medal graduated accomplished won finished earned",
    "realization": "realized noticed understood turns-out occurred clicked apparently oh",
    "relief": "relieved finally phew safe over exhaled lucky spared",
    "remorse": "sorry apologize regret forgive mistake ashamed hurt undo",
    "shame": "ashamed hid failed exposed humiliated mocked unworthy disgrace",
    "trust": "trust reliable honest promise loyal depend faithful secret",
}
_NEAR = {
    "neutral": "calm",
    "calm": "neutral",
    "happiness": "excitement",
    "sadness": "grief",
    "anger": "annoyance",
    "fear": "anxiety",
    "disgust": "disapproval",
    "surprise": "realization",
    "boredom": "neutral",
    "contempt": "disgust",
    "frustration": "annoyance",
    "contentment": "calm",
    "nervousness": "anxiety",
    "sleepiness": "calm",
    "stress": "anxiety",
    "relaxation": "calm",
    "grief": "sadness",
    "love": "caring",
    "caring": "love",
    "guilt": "remorse",
    "remorse": "guilt",
    "shame": "embarrassment",
    "embarrassment": "shame",
    "anxiety": "fear",
    "annoyance": "anger",
    "excitement": "happiness",
    "optimism": "hope",
    "hope": "optimism",
    "disappointment": "sadness",
    "disapproval": "annoyance",
    "realization": "surprise",
    "confusion": "curiosity",
    "curiosity": "confusion",
    "loneliness": "sadness",
    "pessimism": "disappointment",
    "trust": "approval",
}
_PLAIN = (
    "the a my our this some about with after before when because and but so at in on from to people work house car "
    "morning train coffee friend teacher window street phone dinner meeting story letter garden dog music weather "
    "we they she he I you was were is had went came saw told made took left got heard thought"
)
_TOPICS = (
    "football guitar bakery hospital airport library camping chess rain bicycle painting market school river "
    "computer wedding mountain beach movie kitchen office neighbour holiday exam election museum cat tennis"
)
_ENDS = (".", ".", ".", "!", "?", "...", ", you know.", "’s what I said.")


def write_sentence(emotion: str | None, rng: np.random.Generator, *, person: int = 0) -> str:
    """One sentence of 9 to 17 words. `person` chooses the topics that this writer comes back to; None: no emotion."""
    own = _WORDS.get(emotion or "neutral") or _WORDS[_NEAR[emotion or "neutral"]]
    near = _WORDS[_NEAR.get(emotion or "neutral", "neutral")]
    plain, topics = _PLAIN.split(), _TOPICS.split()
    liked = np.random.default_rng([person, 7]).permutation(len(topics))[:5]
    words = []
    for _ in range(int(rng.integers(9, 18))):
        kind = rng.uniform()
        if kind < (0.22 if emotion is not None else 0.0):
            words.append(str(rng.choice(own.split())))
        elif kind < 0.3:
            words.append(str(rng.choice(near.split())))
        elif kind < 0.45:
            words.append(topics[liked[int(rng.integers(len(liked)))]])
        else:
            words.append(plain[int(rng.integers(len(plain)))])
    text = " ".join(words)
    return text[0].upper() + text[1:] + _ENDS[int(rng.integers(len(_ENDS)))]
