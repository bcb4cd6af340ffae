"""Many-to-many of different lengths: dates as people write them in ten languages, read into ISO form.

An encoder-decoder with attention reads the medium, long and full formats of the CLDR (Babel carries it) character by
character. Short, numeric dates are ambiguous (3/5/87), so they come with their locale as the first token. One day in
ten of the century 1950-2049 is held out, in all languages and formats.
"""

import datetime

import numpy as np
from _common import arguments, size

import fastdl as fd

LOCALES = ("en_US", "en_GB", "de", "fr", "es", "it", "nl", "pt", "sv", "pl")
FORMATS = ("short", "medium", "long", "full")
FIRST, LAST = datetime.date(1950, 1, 1), datetime.date(2049, 12, 31)  # a century: two digits of a year are enough


def days(seed):
    """All days, in random order: those to train on and those held out."""
    order = np.random.default_rng(seed).permutation((LAST - FIRST).days + 1)
    dates = [FIRST + datetime.timedelta(int(day)) for day in order]
    return dates[len(dates) // 10 :], dates[: len(dates) // 10]


def examples(dates, count, seed):
    """(locale, format, text, ISO form) of `count` random choices."""
    from babel.dates import format_date

    rng = np.random.default_rng(seed)
    for _ in range(count):
        date, locale, form = dates[rng.integers(len(dates))], rng.choice(LOCALES), rng.choice(FORMATS)
        yield locale, form, format_date(date, form, locale=locale), date.isoformat()


class Reader:
    """The model with its two vocabularies: characters, and after them the locales, in; characters of ISO dates out."""

    def __init__(self, texts, rng):
        self.letters, self.digits = fd.text.Vocabulary("".join(texts)), fd.text.Vocabulary("0123456789-")
        self.model = fd.models.Seq2Seq(
            len(self.letters) + len(LOCALES), len(self.digits), embedding=32, hidden=128, rng=rng
        )

    def encode(self, locale, form, text):
        codes = self.letters.encode(text)
        return np.append(len(self.letters) + LOCALES.index(locale), codes) if form == "short" else codes

    def fit(self, rows, **options):
        sources = [self.encode(*row[:3]) for row in rows]
        return self.model.fit(sources, [self.digits.encode(row[3]) for row in rows], **options)

    def read(self, rows):
        found = self.model.predict([self.encode(*row[:3]) for row in rows], max_length=12)
        return [self.digits.decode(codes) for codes in found]


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    train_days, test_days = days(options.seed)
    train = list(examples(train_days, 6_000 if options.quick else 40_000, options.seed + 1))
    test = list(examples(test_days, 200 if options.quick else 4_000, options.seed + 2))
    reader = Reader([row[2] for row in train], rng=options.seed)
    reader.fit(train, epochs=2, progress=not options.quick)
    read = reader.read(test)
    right = np.array([one == row[3] for one, row in zip(read, test, strict=True)])
    forms = np.array([row[1] for row in test])
    for row, one in list(zip(test, read, strict=True))[:8]:
        print(
            f"  {row[0] if row[1] == 'short' else '':6} {row[2]:32} {one} {'' if one == row[3] else 'wrong: ' + row[3]}"
        )
    results = {form: float(right[forms == form].mean()) for form in FORMATS}
    results["all"] = float(right.mean())
    print("exact on held-out days:", ", ".join(f"{form} {share:.4f}" for form, share in results.items()))
    return results | {"parameters": size(reader.model)}


if __name__ == "__main__":
    main()
