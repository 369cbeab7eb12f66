"""docs/head_to_head.md: what came of the head-to-head comparisons, every figure taken from what is kept of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.head_to_head_rewards import (
    LAST,
    Compared,
    Shares,
    better,
    corrected,
    over_all,
    over_medians,
    steadier,
    steadier_between,
)
from moco.comparison.rank_tests import Verdict
from moco.reproduction.finding import Outcome

AGENTS = ("published", "ddpg", "ppo", "ppo_q")
BASELINES = ("uniform", "random")
MODELS = ("gp", "evolution", "greybox")
DDPG, PPOS = "ddpg", ("ppo", "ppo_q")
HEAD = """# Head to head

The searches of the five systems' own problems, by agents, Bayesian and evolutionary searchers and baselines, as many
evaluations for each. Each problem is one command, `moco compare experiments/head_to_head/NAME.yaml --out
runs/head_to_head/NAME`; `python -m benchmarks.head_to_head runs/head_to_head/*` keeps the results in
`experiments/recorded/head_to_head/` and writes this page. No figure in it is typed by hand. What is held equal in a
comparison: [comparing](comparing.md).

It bears on two of the [findings](findings.md): whether agents find better networks than uniform ratios (Q21), and
whether PPO's rewards vary less than DDPG's (Q13). There both are judged by the [cards](reproducing.md), on other
problems and with other numbers of evaluations: the verdicts may differ. Joint search against one method at a time
(Q10, Q12) is told by S3's cards alone.
"""
NOTES = """## What to make of it

- One small network on one set of digits: each verdict is one about it. The problems are the published ones in kind.
  Costs are counted (MACs, size, bit operations) where S1, S2 and S3 time them: the machine had other work to do, and
  counted costs come out the same again. Nothing is trained in a search; S1's channels are refitted, S5's too.
- Widths go in steps of 8, so that the spaces of the pruning problems are small and strategies come upon the same
  policies; S3's space is not small.
- `published` is the agent as its system has it (S1 and S3: DDPG; S5: PPO with Q-values; S2 has no agent, its own
  searcher is `gp`): S1's with a warm-up in proportion, S3's without features of a sensitivity analysis. The others are
  moco's own, with default options; `gp` and `greybox` model the score.
- S3's problem has fewer seeds than the others, since there each evaluation is a new one; so it weighs less in what is
  told seed by seed, and as much in what is told over problems. So few seeds can never tell two of so many
  strategies apart within a problem ([comparing](comparing.md)).
- All seeds of a problem share its network and split: they tell of the searchers' luck alone. The test over problems is
  the one that says something of problems that were not run, and there are few of them.
- `uniform` is the same in every seed, and soon has tried all that it can: it goes on to propose what it has proposed.
- What was settled when: targets and bounds after a look at uniform ratios and a few random networks, so that they bind.
  Five seeds of each problem were run first and looked at; seeds were then added to four problems, and the correction
  for many pairs after that, which makes verdicts more careful.
- Agents are made for hundreds of episodes. What is told here is told of the number of evaluations above.
"""


def page(known: Sequence[Compared]) -> str:
    """The whole page."""
    ordered = sorted(known, key=lambda one: one.name)
    parts = [HEAD, _problems(ordered), _scores(ordered), _agents(ordered), _rewards(ordered), NOTES]
    return "\n".join(parts)


def _problems(known: Sequence[Compared]) -> str:
    rows = []
    for one in known:
        record, policies = one.record, one.record["problem"]["policies"]
        bounds = "; ".join(record["problem"]["bounds"]) or "none"
        count = "not counted" if policies is None else f"{policies:,}" if policies < 10**9 else _power(policies)
        cells = [one.name, record["protocol"], bounds, str(record["problem"]["parameters"]), count]
        cells += [str(record["trials"]), str(len(record["seeds"])), record["day"]]
        rows.append(f"| {' | '.join(cells)} |")
    first = known[0].record
    head = ("problem", "protocol", "bounds", "parameters", "policies", "evaluations a run", "seeds", "day")
    return "\n".join([f"## The problems\n\n{first['network']} on {first['data']}.\n", *_head(head), *rows, ""])


def _power(count: int) -> str:
    return f"about 10^{len(str(count)) - 1}"


def _scores(known: Sequence[Compared]) -> str:
    labels = list(dict.fromkeys(label for one in known for label in one.best))
    rows = [f"| {label} | {' | '.join(_score(one, label) for one in known)} |" for label in labels]
    every, medians = over_all(known), over_medians(known)
    ranks = sorted(every.mean_ranks, key=lambda label: every.mean_ranks[label])
    told = ", ".join(f"{label} {every.mean_ranks[label]:.2f} ({medians.mean_ranks[label]:.1f})" for label in ranks)
    text = (
        f"Mean ranks over {every.seeds} problems and seeds, 1 is best, and in brackets of the medians over the "
        f"{medians.seeds} problems: {told}. Friedman's test of the strategies that all problems have: "
        f"p = {_p(every.p)}, Kendall's W {every.agreement:.2f}; of the medians p = {_p(medians.p)}, W "
        f"{medians.agreement:.2f}."
    )
    head = ("strategy", *(one.name for one in known))
    title = "## Best feasible score\n\nMedian over the seeds [least, greatest]; bold: a problem's highest median.\n"
    return "\n".join([title, *_head(head), *rows, "", text, ""])


def _score(one: Compared, label: str) -> str:
    if label not in one.best:
        return "n/a"
    values = list(one.best[label].values())
    highest = max(float(np.median(list(runs.values()))) for runs in one.best.values())
    median = float(np.median(values))
    told = f"{_number(median)} [{_number(min(values))}, {_number(max(values))}]"
    return f"**{told}**" if median == highest else told


def _agents(known: Sequence[Compared]) -> str:
    of = [(agent, rival) for agent in AGENTS for rival in (*BASELINES, *MODELS)]
    shares = [better(known, agent, rival) for agent, rival in of]
    rows = [
        f"| {agent} | {rival} | {_record(share)} | {_share(share)} | {_p(p)} | {_by_test(known, agent, rival)} | "
        f"{_over(share)} | {share.outcome(p).value} |"
        for (agent, rival), share, p in zip(of, shares, corrected(shares), strict=True)
    ]
    head = (
        *("agent", "rival", "wins, ties, losses", "wins of those that differ (95 %)", "p (sign test, Holm)"),
        *("problems better, worse, untold", "share over problems (95 %)", "agent > rival"),
    )
    title = (
        "## Agents against the others (Q21)\n\nBest feasible score, seed by seed. The rule is that of Q21 in "
        "[findings](findings.md): shown where the 95 % interval of the wins lies above one half, false where below; as "
        "there are many pairs, only where the sign test, corrected by Holm over all of them, is at 5 %. A "
        "problem counts as better or worse by Wilcoxon's test over its seeds, corrected by Holm over all pairs.\n"
    )
    return "\n".join([title, *_head(head), *rows, "", _verdict_21(of, shares), ""])


def _verdict_21(of: Sequence[tuple[str, str]], shares: Sequence[Shares]) -> str:
    """Q21 in words: each agent against uniform ratios, then against random search."""
    lines = ['Q21, "the agents find better networks than uniform ratios do":', ""]
    found = dict(zip(of, zip(shares, corrected(shares), strict=True), strict=True))
    for agent in AGENTS:
        told = "; ".join(
            f"against {rival} it {_word(share.outcome(p))} seed by seed and {_word(share.over_problems)} over problems"
            for rival in BASELINES
            for share, p in (found[agent, rival],)
        )
        lines.append(f"- `{agent}`: {told}.")
    return "\n".join(lines)


def _word(outcome: Outcome) -> str:
    return {Outcome.INCONCLUSIVE: "is inconclusive"}.get(outcome, outcome.value)


def _by_test(known: Sequence[Compared], agent: str, rival: str) -> str:
    found = [one.verdicts(agent, rival) for one in known if agent in one.best and rival in one.best]
    sides = [one.verdict if one.first == agent else _opposite(one.verdict) for one in found]
    return ", ".join(str(sides.count(verdict)) for verdict in (Verdict.BETTER, Verdict.WORSE, Verdict.CANNOT_TELL))


def _opposite(verdict: str) -> str:
    return {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}.get(Verdict(verdict), Verdict.CANNOT_TELL)


def _rewards(known: Sequence[Compared]) -> str:
    labels = [label for label in AGENTS if any(label in one.last for one in known)]
    rows = [
        f"| {one.name} | {label} | {_number(float(np.mean(one.means(label))))} | {_within(one, label)} | "
        f"{_number(float(np.std(one.means(label), ddof=1)))} |"
        for one in known
        for label in labels
        if label in one.last
    ]
    shares = [steadier(known, ppo, DDPG) for ppo in PPOS]
    verdicts = [
        f"- `{ppo}`: its rewards spread less than DDPG's in {share.wins} of {share.wins + share.losses} runs that "
        f"differ (share {_share(share)}, p = {_p(p)} by the sign test, Holm); over problems the share is "
        f"{_over(share)}; from seed to seed its mean reward spreads less on {_between(known, ppo)}. The claim "
        f"{_word(share.outcome(p))} seed by seed and {_word(share.over_problems)} over problems."
        for ppo, share, p in zip(PPOS, shares, corrected(shares), strict=True)
    ]
    title = (
        f"## Rewards of the agents (Q13)\n\nThe protocol's own score of each network that was tried, over the last "
        f"{LAST:.0%} of a run's evaluations, exploration included. `mean` is over runs, `within` the median standard "
        "deviation within a run, `between` that of the runs' means from seed to seed.\n"
    )
    told = "Q13, \"PPO's rewards vary less than DDPG's\", of moco's own agents, whatever their height:\n"
    head = ("problem", "agent", "mean", "within", "between")
    return "\n".join([title, *_head(head), *rows, "", told, *verdicts, ""])


def _within(one: Compared, label: str) -> str:
    return _number(float(np.nanmedian([one.spread(label, seed) for seed in one.last[label]])))


def _between(known: Sequence[Compared], ppo: str) -> str:
    less, count = steadier_between(known, ppo, DDPG)
    return f"{less} of {count} problems"


def _record(share: Shares) -> str:
    return f"{share.wins}, {share.ties}, {share.losses}"


def _share(share: Shares) -> str:
    if share.wins + share.losses == 0:
        return "n/a"
    middle = share.wins / (share.wins + share.losses)
    return f"{middle:.2f} ({share.low:.2f} to {share.high:.2f})"


def _over(share: Shares) -> str:
    middle, low, high = share.by_problem
    return f"{middle:.2f} ({low:.2f} to {high:.2f}, {share.problems} problems)"


def _head(cells: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(cells)} |", "|---" * len(cells) + "|"]


def _number(value: float) -> str:
    return "n/a" if not math.isfinite(value) else f"{value:.4g}"


def _p(p: float) -> str:
    return f"{p:.2g}"
