"""What the tables of the paper are called, which of their figures are shown, and what each row is."""

TITLES = {
    "closed-set": "Closed-set recognition",
    "few-shot-5-way": "Few-shot recognition, 5 ways",
    "few-shot": "Few-shot recognition, all classes",
    "zero-shot": "Recognition of classes never trained on",
    "base-to-novel": "Base to novel classes",
    "cross-dataset": "From one data set to another",
    "localization": "Temporal action localization",
    "open-set-localization": "Localization of actions never trained on",
    "retrieval": "Text-video retrieval",
}
LOOK_AT = {
    "closed-set": "A0 to A3 show what more prompt vectors bring, A3 to A7 what the temporal layers add on top; B-II is "
    "what the frozen features give without any text.",
    "few-shot-5-way": "Whether a few videos of each class beat none: a trained row must stand above B-I by more than "
    "the intervals.",
    "few-shot": "The number of videos per class from which a trained row passes B-I, and how far the rows then part.",
    "zero-shot": "B-I, which trained on nothing: a row below it has lost by its training what CLIP knew.",
    "base-to-novel": "The novel column beside B-I's: a row may win base classes and lose the novel ones below frozen "
    "CLIP. The harmonic mean punishes that.",
    "cross-dataset": "B-I again: a row trained on other videos should not fall below frozen CLIP on new names.",
    "localization": "Which stage loses what: own proposals with true names lose only what the proposals miss, true "
    "segments with our names only what the names miss.",
    "open-set-localization": "The trained row on novel names beside the same proposals named by frozen CLIP, and how "
    "far it stays below seen names.",
    "retrieval": "What prompts alone bring over frozen CLIP, and what time adds where only the order of frames tells "
    "two videos apart.",
}
COLUMNS = {  # what is shown, in this order; table.json has every measure
    "closed-set": ("test/top1", "test/top5"),
    "few-shot-5-way": ("test/top1",),
    "few-shot": ("test/top1",),
    "zero-shot": ("test/top1", "test/top5", "novel/top1", "novel/top5"),
    "base-to-novel": ("base/top1", "novel/top1", "harmonic_mean"),
    "cross-dataset": ("full/top1", "full/top5", "half/top1", "half/top5"),
    "localization": ("test/map@", "test/average_map"),
    "open-set-localization": ("novel/map@", "novel/average_map", "seen/average_map"),
    "retrieval": tuple(f"{side}/{name}" for side in ("t2v", "v2t") for name in ("R1", "R5", "R10", "MdR", "MnR")),
}
MAIN = {  # else the first column
    "base-to-novel": "harmonic_mean",
    "localization": "test/average_map",
    "open-set-localization": "novel/average_map",
}
FEW_OVERLAPS, PRINTED_OVERLAPS = 5, ("0.5", "0.75", "0.95")  # more than a few: those that ActivityNet tables print
STAGES = {
    "own proposals, true names": "what stage one loses",
    "own proposals, B-I": "frozen CLIP names them",
    "true segments, B-I": "frozen CLIP names them",
    "own proposals, B-II": "a linear probe names them",
    "true segments, B-II": "a linear probe names them",
    "training-free, B-I": "nothing trained",
}
ABOUT = {
    "frozen CLIP": "nothing trained; captions as they are, mean frame features",
    "B-I": "frozen CLIP, ensemble of handcrafted prompts",
    "B-I single": "frozen CLIP, one handcrafted prompt",
    "B-II": "linear probe on mean frame features",
    "A0": "2+2 prompt vectors",
    "A1": "4+4 prompt vectors",
    "A2": "8+8 prompt vectors",
    "A3": "16+16 prompt vectors, no time",
    "A4": "16+16, 1 temporal layer",
    "A5": "16+16, 2 temporal layers",
    "A6": "16+16, 3 temporal layers",
    "A7": "16+16, 4 temporal layers",
    "temporal only": "handcrafted prompts, temporal layers",
    "robust": "preset that keeps what CLIP knew",
    **STAGES,
}
