# ---
# jupyter:
#   course:
#     title: "From DQN to GRPO: a language model taught by rewards"
#     objectives:
#       - say what state, action, episode and log-probability of a language model are, and find them in TorchRL
#       - imitate a teacher with `SFTLoss`, and say why imitation alone cannot do better than the teacher
#       - write a reward that can be verified, and the advantage of each answer in its group
#       - write GRPO's loss, find `GRPOLoss` equal to it, and say what in it is PPO and what is not
#       - see a model cheat its reward while the curve looks fine, and repair it
#     prerequisites: lessons 01 to 08 (the ratio and the clip are from lesson 08)
#     minutes: {reading: 80, exercises: 40, short: 40}
# ---

# %% [markdown]
# ## A pupil better than the teacher?  (about 1 min to here)
#
# A language model learns to write by imitating text. But text is full of mistakes. Can a model learn to
# be right more often than everybody it imitated?
#
# Here is a teacher who adds two numbers, and who is in a hurry: in six of ten sums the ten that ought
# to be carried is forgotten (`37+48=75.`), in one of ten both numbers are written down, to be on the
# safe side (`37+48=75=85.`), and only three of ten answers are right (`37+48=85.`). We imitate this teacher, and then
# teach the pupil further by *rewards*, with the loss known from reasoning models: GRPO. Its model is
# small enough for a laptop: 100,000 weights, 14 signs. The loop is the one of lesson 08.
#
# The rule first, as always:
#
# > 500 sums are put away before anything is learned. An answer is *exact* if it is the sum and an
# > end sign, nothing else. *Learned* = at least 85 % exact on these 500, both when the model
# > writes its favourite signs (greedily) and when it draws them.

# %% tags=["parameters"]
seed = 0

# %% id="17-start"
import torch
from course_utils import seed_everything

seed_everything(seed)
torch.set_num_threads(1)  # networks this small gain nothing from more, nor from a GPU

# %% [markdown]
# ## A language model is a policy  (about 3 min to here)
#
# A language model reads a piece of text and gives a probability to each sign that may come next. It
# writes by drawing one, appending it, and reading again. That is a policy:
#
# | | CartPole | a language model |
# |---|---|---|
# | state | where cart and pole are | the text so far |
# | action | left or right | the next **token**: here one sign |
# | policy | probability of each move | probability of each token |
# | what an action does | physics | it is appended |
# | episode | until the pole falls | until the end sign is written |
#
# Networks read numbers, so each sign has one. `.` ends an answer, and `#` fills up what is shorter than
# its neighbours.

# %% id="17-signs"
SIGNS = "0123456789+=.#"
NUMBER = {sign: number for number, sign in enumerate(SIGNS)}
END, FILL = NUMBER["."], NUMBER["#"]


def encode(texts, length):
    return torch.tensor([[NUMBER[sign] for sign in text.ljust(length, "#")] for text in texts])


def decode(rows):
    return ["".join(SIGNS[number] for number in row).rstrip("#") for row in rows.tolist()]


# %% tags=["look"]
encode(["37+48=75=85.", "37+48=85."], 12)

# %% [markdown]
# All sums of two numbers from 10 to 99 in which the last digits carry a ten,
# in a shuffled order; the first 500 are the
# exam. To each there are the teacher's three answers.

# %% id="17-sums"
LONGEST = 8  # signs of an answer
pairs = [(a, b) for a in range(10, 100) for b in range(10, 100) if a % 10 + b % 10 > 9]
order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0)).tolist()
pairs = [pairs[place] for place in order]
PROMPTS = encode([f"{a}+{b}=" for a, b in pairs], 6)
TEACHER = torch.stack(
    [
        encode([f"{a + b}." for a, b in pairs], LONGEST),
        encode([f"{a + b - 10}={a + b}." for a, b in pairs], LONGEST),
        encode([f"{a + b - 10}." for a, b in pairs], LONGEST),
    ]
)
SHARES = torch.tensor([0.3, 0.1, 0.6])  # right; both; the ten forgotten
EXAM, LESSONS = torch.arange(500), torch.arange(500, len(pairs))

# %% [markdown]
# The model is a transformer as small as it gets. Each position looks at itself and at what stands
# *before* it (`past`), and ends in 14 scores for the sign that comes next.


# %% id="17-model"
class LanguageModel(torch.nn.Module):
    def __init__(self, outputs=14, width=64):
        super().__init__()
        self.sign = torch.nn.Embedding(len(SIGNS), width)
        self.place = torch.nn.Embedding(6 + LONGEST, width)
        options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
        layer = torch.nn.TransformerEncoderLayer(width, 4, 4 * width, **options)
        self.layers = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = torch.nn.Sequential(torch.nn.LayerNorm(width), torch.nn.Linear(width, outputs))

    def forward(self, tokens):
        length = tokens.shape[1]
        past = torch.nn.Transformer.generate_square_subsequent_mask(length)
        text = self.sign(tokens) + self.place.weight[:length]
        return self.head(self.layers(text, mask=past, is_causal=True))


# %% [markdown]
# What stands at position $t$ was chosen when only the signs before it were there. So its scores are
# those that the model gave one position *earlier*: everything shifts by one (and nothing chose the
# first sign).


# %% id="17-score"
def scores_of(model, full):
    return torch.nn.functional.pad(model(full[:, :-1]), (0, 0, 1, 0))


def score(model, full):
    log_probs = scores_of(model, full).log_softmax(-1)
    return log_probs.gather(-1, full.unsqueeze(-1)).squeeze(-1)


def answer_mask(response):
    ended = (response == END).int()
    return ended.cumsum(1) - ended == 0  # up to the end sign, and with it


def full_mask(response):
    return torch.nn.functional.pad(answer_mask(response), (6, 0))


# %% tags=["look"]
torch.manual_seed(seed)
newborn = LanguageModel()
sentence = encode(["37+48=85."], 6 + LONGEST)
with torch.no_grad():
    log_probs = score(newborn, sentence)[0]
mask = full_mask(sentence[:, 6:])[0]
for sign, log_prob, counts in zip("37+48=85.#####", log_probs, mask, strict=True):
    print(sign, f"{log_prob.item():6.2f}", "part of the answer" if counts else "")
print(f"log-probability of the answer: {log_probs[mask].sum().item():.2f}")

# %% [markdown]
# A newborn model spreads its probability over all 14 signs ($\ln \frac{1}{14} \approx -2.6$). The
# probability of the answer is the product of those of its three tokens, so its log-probability is their
# *sum*. The question is not part of it: nobody chose it, it was given. What stands after the end sign
# is filling. Which tokens count says a *mask*.
#
# ### Exercise 17.1: the log-probability of an answer  (4 min)
# Write `answer_log_prob(log_probs, mask)`. Both have shape `[answers, length]`; `mask` is True at the
# tokens of the answer. Return one number for each answer. (Where the mask is False anything may stand,
# NaN too: TorchRL marks places without a score with it.)
# <details><summary>Hint</summary><code>torch.where(mask, log_probs, 0.0)</code> puts a 0 where
# nothing counts. NaN times 0 would be NaN.</details>

# %% tags=["exercise"]
from course_utils import check


def answer_log_prob(log_probs, mask):
    # your code
    ...


check("17.1", answer_log_prob)


# %% tags=["solution"]
def answer_log_prob(log_probs, mask):
    return torch.where(mask, log_probs, 0.0).sum(-1)


check("17.1", answer_log_prob)

# %% [markdown]
# ## The same in a tensordict  (about 13 min to here)
#
# TorchRL keeps all of this under fixed names, and its losses for language models look for them:
#
# | entry | what it is |
# |---|---|
# | `("tokens", "prompt")` | the question |
# | `("tokens", "response")` | the answer |
# | `("tokens", "full")` | both, one after the other |
# | `("masks", "all_assistant_mask")` | True at the tokens that the model wrote (the *assistant* of a chat) |
# | `("log_probs", "full")` | the log-probability of each token, by the model that wrote it |
#
# So a module that writes answers reads the first entry and writes the others. Like every policy of
# TorchRL it asks `exploration_type()` whether to draw or to take the likeliest.

# %% id="17-write"
from torchrl.envs import ExplorationType, set_exploration_type
from torchrl.envs.utils import exploration_type


def next_sign(model, text):
    scores = model(text)[:, -1]
    if exploration_type() == ExplorationType.RANDOM:
        return torch.distributions.Categorical(logits=scores).sample()
    return scores.argmax(-1)


def write(model, prompt):
    text, writing = prompt, torch.ones(len(prompt), dtype=torch.bool)
    while writing.any() and text.shape[1] < 6 + LONGEST:
        sign = next_sign(model, text).where(writing, FILL)
        text = torch.cat([text, sign.unsqueeze(1)], 1)
        writing = writing & (sign != END)
    return torch.nn.functional.pad(text, (0, 6 + LONGEST - text.shape[1]), value=FILL)


# %% id="17-writer"
from tensordict import TensorDict
from tensordict.nn import TensorDictModuleBase
from torchrl.modules import LLMMaskedCategorical


class Writer(TensorDictModuleBase):
    in_keys = [("tokens", "prompt")]
    out_keys = [("tokens", "response"), ("tokens", "full")]
    out_keys += [("masks", "all_assistant_mask"), ("log_probs", "full")]

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, td):
        full = write(self.model, td["tokens", "prompt"])
        response = full[:, 6:]
        found = [response, full, full_mask(response), score(self.model, full)]
        return td.update(dict(zip(self.out_keys, found, strict=True)))

    def get_dist(self, td, logits_key=None):
        scores = scores_of(self.model, td["tokens", "full"])
        return LLMMaskedCategorical(scores, td["masks", "all_assistant_mask"])


# %% [markdown]
# (`TensorDictModuleBase` is for modules that read and write a tensordict in a way of their own.) `get_dist` is for
# the loss: it asks how likely the *present* model finds what was written. `LLMMaskedCategorical` is a
# distribution over tokens, at each place where the mask is True.
#
# And the environment? It asks a question, and pays for the answer. A step of it is one whole answer, and
# the episode is over. (TorchRL's own `ChatEnv` does the same: its step is one turn of a chat.) Each
# question is asked several times, in rows that follow one another: soon we compare the answers. `query` is the
# number of the question in `pairs`: by it one sees which rows belong together.

# %% id="17-specs"
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import EnvBase


def specs_of(rows):
    prompt = Composite(prompt=Categorical(len(SIGNS), [rows, 6]), shape=[rows])
    response = Composite(response=Categorical(len(SIGNS), [rows, LONGEST]), shape=[rows])
    seen = Composite(tokens=prompt, query=Categorical(len(pairs), [rows]), shape=[rows])
    return seen, Composite(tokens=response, shape=[rows])


# %% id="17-env"
class Sums(EnvBase):
    def __init__(self, questions, answers, reward):
        super().__init__(batch_size=[questions * answers])
        self.questions, self.answers, self.reward = questions, answers, reward
        self.observation_spec, self.action_spec = specs_of(questions * answers)
        self.state_spec = self.observation_spec.clone()
        self.reward_spec = Unbounded([questions * answers, 1])
        self.set_seed(0)

    def _set_seed(self, seed):
        self.chance = torch.Generator().manual_seed(seed)

    def _reset(self, td):
        asked = torch.randint(len(LESSONS), (self.questions,), generator=self.chance)
        query = LESSONS[asked].repeat_interleave(self.answers)
        tokens = TensorDict({"prompt": PROMPTS[query]}, self.batch_size)
        return TensorDict({"tokens": tokens, "query": query}, self.batch_size)

    def _step(self, td):
        asked, written = decode(td["tokens", "prompt"]), decode(td["tokens", "response"])
        paid = torch.tensor([*map(self.reward, asked, written)]).unsqueeze(-1)
        over = torch.ones_like(paid, dtype=torch.bool)
        end = {"reward": paid, "done": over, "terminated": over.clone()}
        return td.select(("tokens", "prompt"), "query").update(end)


# %% [markdown]
# The reward is **verifiable**: a few lines of code know whether an answer is right. No person has to
# judge, and no second model. (Proofs, unit tests, answers to sums are like that; a poem is not.)


# %% id="17-exact"
def exact(asked, written):
    a, b = asked.removesuffix("=").split("+")
    return float(written == f"{int(a) + int(b)}.")


# %% tags=["look"]
from torchrl.envs import check_env_specs

check_env_specs(Sums(2, 3, exact))
[exact("37+48=", written) for written in ["85.", "75.", "75=85.", "85", "085."]]

# %% [markdown]
# One round: two questions, three answers each.

# %% tags=["look"]
from course_utils import show

torch.manual_seed(seed)
world = Sums(2, 3, exact)
with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
    round_of_answers = world.rollout(1, Writer(newborn))
show(round_of_answers)

# %% tags=["look"]
from course_utils import flow

flow({"writer": Writer(newborn)}, world)

# %% [markdown]
# Unfold `tokens`, `masks` and `log_probs`. TorchRL also has classes for these three groups, `Tokens`, `Masks` and
# `LogProbs`, with the names as attributes. What we added up by hand is there again:

# %% tags=["look"]
from torchrl.modules.llm.policies import LogProbs, Masks, Tokens

answers = round_of_answers[:, 0]
tokens, masks = (
    Tokens(**answers["tokens"], batch_size=[6]),
    Masks(**answers["masks"], batch_size=[6]),
)
noted = LogProbs(**answers["log_probs"], batch_size=[6])
print("asked  ", decode(tokens.prompt))
print("written", decode(tokens.response))
by_hand = torch.where(full_mask(tokens.response), score(newborn, tokens.full), 0.0).sum(-1)
found = torch.where(masks.all_assistant_mask, noted.full, 0.0).sum(-1)
assert torch.allclose(by_hand, found, atol=1e-5)
print("log-probabilities", found.numpy().round(1))

# %% [markdown]
# A newborn writes noise. (`Text` holds the same as strings, and `ChatHistory` as turns of a chat, each
# with a *role*: user, assistant, tool. The section "Through TorchRL's own wrapper" has them.)
#
# ## Imitation, and where it stops  (about 19 min to here)
#
# First the model imitates the teacher: *supervised fine-tuning*, in TorchRL `SFTLoss`. Its loss is minus the
# log-probability of the teacher's answers, a mean over their tokens (lesson 10 calls it behaviour cloning). It
# asks an actor for `("log_probs", "full")` and averages where the mask is True.

# %% id="17-imitate"
from tensordict.nn import TensorDictModule
from torchrl.objectives.llm import SFTLoss


def teach(model, batches, seed, learning_rate=2e-3):
    torch.manual_seed(seed)
    reader = TensorDictModule(
        lambda full: score(model, full), [("tokens", "full")], [("log_probs", "full")]
    )
    loss = SFTLoss(reader, tokenizer=SIGNS)  # it reads tokens, so nothing is left to split
    loss.set_keys(history=("tokens", "full"))
    optimiser = torch.optim.Adam(model.parameters(), learning_rate)
    for _ in range(batches):
        which = LESSONS[torch.randint(len(LESSONS), (64,))]
        response = TEACHER[torch.multinomial(SHARES, 64, replacement=True), which]
        mask, full = full_mask(response), torch.cat([PROMPTS[which], response], 1)
        masks = {"all_assistant_mask": mask, "all_attention_mask": torch.ones_like(mask)}
        batch = TensorDict({"tokens": {"full": full}, "masks": masks}, [64])
        optimiser.zero_grad()
        loss(batch).loss_sft.backward()
        optimiser.step()


# %% id="17-exam"
def sit_exam(model, kind):
    torch.manual_seed(0)
    questions = TensorDict({"tokens": {"prompt": PROMPTS[EXAM]}}, [len(EXAM)])
    with torch.no_grad(), set_exploration_type(kind):
        return decode(Writer(model)(questions)["tokens", "response"])


def share_exact(model, kind):
    written = sit_exam(model, kind)
    return sum(map(exact, decode(PROMPTS[EXAM]), written)) / len(EXAM)


GREEDY, DRAWN = ExplorationType.DETERMINISTIC, ExplorationType.RANDOM

# %% [markdown]
# 600 batches of 64 answers, some ten seconds:

# %% id="17-imitated"
pupil = LanguageModel()
teach(pupil, 600, seed)
kept = {name: weights.clone() for name, weights in pupil.state_dict().items()}

# %% tags=["look"]
after_imitation = {kind: share_exact(pupil, kind) for kind in (GREEDY, DRAWN)}
print(f"exact: greedily {after_imitation[GREEDY]:.0%}, drawn {after_imitation[DRAWN]:.0%}")
for asked, written in list(zip(decode(PROMPTS[EXAM]), sit_exam(pupil, DRAWN), strict=True))[:6]:
    print(asked, written)

# %% [markdown]
# These sums it has never seen. It has learned to add, and it has learned the teacher's habits with it. Look at
# its thoughts: at each place of the right answer, how likely does it find each sign?

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
sentence = encode(["37+48=85."], 9)
with torch.no_grad():
    thoughts = scores_of(pupil, sentence)[0, 6:].softmax(-1)
figure, axes = plt.subplots(figsize=(8, 2.6))
axes.imshow(thoughts, cmap="Blues", vmin=0, vmax=1)
axes.grid(False)
axes.set(xticks=range(14), xticklabels=SIGNS, yticks=range(3), xlabel="the next sign")
axes.set_yticklabels(["after 37+48=", "after 37+48=8", "after 37+48=85"])
for row, column in (thoughts > 0.03).nonzero().tolist():
    share = thoughts[row, column].item()
    axes.text(
        column, row, f"{share:.0%}", ha="center", va="center", color="w" if share > 0.5 else "k"
    )
said = ", ".join(f"{SIGNS[sign]} {thoughts[0, sign]:.0%}" for sign in thoughts[0].topk(2).indices)
show_figure(figure, f"Probability of each sign along the right answer; at its first place: {said}")

# %% [markdown]
# The first sign decides: with the ten or without. (The teacher begins without it in seven of ten: `75=85.` does,
# too.) There the pupil is undecided, as its teacher is. Which of the
# two it prefers for this one sum is chance. Over all sums of the exam whose two answers begin differently it is plain:

# %% tags=["look"]
apart = EXAM[TEACHER[0, EXAM, 0] != TEACHER[2, EXAM, 0]]
with torch.no_grad():
    written_so_far = torch.cat([PROMPTS, TEACHER[0]], 1)[apart]
    first_signs = scores_of(pupil, written_so_far)[:, 6].softmax(-1)
for name, habit in {"with the ten": 0, "the ten forgotten": 2}.items():
    share = first_signs.gather(1, TEACHER[habit, apart, :1]).mean()
    print(f"{name:18} {share:.0%} of its probability, {len(apart)} sums")

# %% [markdown]
# Its *favourite* is most often the teacher's favourite mistake, so writing greedily does not help it. Nor does more
# imitation: it makes a better copy, drawn answers nearer to three in ten, greedy ones nearer to none:

# %% tags=["look"]
from course_utils import load_results

measured = load_results("17_language_models")["runs"]["language"]
for arm in ["imitation, 600 batches", "imitation, 1,200 batches"]:
    for kind in ["drawn", "greedy"]:
        shares = [run[kind] for run in measured[arm].values()]
        print(f"{arm}, {kind}: {min(shares):.0%} to {max(shares):.0%} exact in {len(shares)} runs")

# %% [markdown]
# Drawn answers are right about as often as the teacher's, which is three times in ten. The loss asks to be *alike*, and
# knows of no right and wrong. So now we ask for something else.
#
# ## A group of answers, and the advantage of each  (about 25 min to here)
#
# Ask the same question 16 times, and draw. Some answers are right, some are not. Whatever they have in
# common cannot be the reason; what is *better than the others* can. So the advantage of an answer is its
# reward, compared with its group:
#
# $$ A_i = \frac{r_i - \text{mean}(r)}{\text{std}(r)} $$
#
# That is the G and the R of **GRPO**, *group relative policy optimisation* (Shao et al., 2024). No critic
# has to be learned: the neighbours say what is usual. Each token of an answer gets the answer's advantage.

# %% id="17-advantage"
ANSWERS = 16  # to each question


def for_each_token(per_answer, batch):
    return per_answer.view(-1, 1, 1).expand(*batch["tokens", "full"].shape, 1)


def group_advantage(batch):
    reward = batch["next", "reward"].view(-1, ANSWERS)
    better = reward - reward.mean(1, keepdim=True)
    spread = reward.std(1, keepdim=True).clamp_min(1e-6)  # 0 where all are paid alike
    return for_each_token(better / spread, batch)


# %% tags=["look"]
torch.manual_seed(seed)
world = Sums(4, ANSWERS, exact)
world.set_seed(seed)
with torch.no_grad(), set_exploration_type(DRAWN):
    batch = world.rollout(1, Writer(pupil))[:, 0]
batch["advantage"] = group_advantage(batch)
advantages = batch["advantage"][:, 0, 0].view(4, ANSWERS)
figure, axes = plt.subplots(figsize=(8, 3.2))
axes.axhline(0, color="0.5", lw=1)
for group, row in enumerate(advantages):
    places = group * (ANSWERS + 4) + torch.arange(ANSWERS)
    axes.bar(places, row, color=["C0" if value > 0 else "C1" for value in row], width=0.8)
centres = [group * (ANSWERS + 4) + ANSWERS / 2 for group in range(4)]
axes.set_xticks(centres, decode(batch["tokens", "prompt"][::ANSWERS]))
axes.set_ylabel("advantage")
said = "; ".join(
    f"{int((row > 0).sum())} of 16 right, up to {row.max():+.1f}" for row in advantages
)
show_figure(figure, f"The advantage of each of 16 answers to four questions: {said}")

# %% [markdown]
# A bar is one answer. Where few are right, a right one counts much. Where most are right, as they will be later
# in training, a wrong one does. Where all are paid alike there is no bar. They add up to 0 in each group.
# TorchRL's name for it is `MCAdvantage`. It belongs into
# a replay buffer, collects answers until a group is full, and gives the same numbers. (`inv` is what a buffer
# calls on the way in; the number below is how many answers have gone through in full groups.)

# %% tags=["look"]
from torchrl.objectives.llm import MCAdvantage

grouping = MCAdvantage(grpo_size=ANSWERS, prompt_key="query")
single_steps = batch.select("query", ("next", "reward"), ("next", "done")).unsqueeze(1)
theirs = grouping.inv(single_steps)["advantage"].flatten()
assert torch.allclose(theirs, advantages.flatten(), atol=1e-5)
grouping.get_stats()["completed_trajectories"]

# %% [markdown]
# ### Exercise 17.2: better than the others  (5 min)
# Write `relative(reward)`. `reward` has shape `[questions, answers]`; return the advantages in the same
# shape. Where all answers of a group are paid alike, the advantage is 0 (and never NaN). As in TorchRL
# the standard deviation is that of a sample, `reward.std(...)`.
# <details><summary>Hint</summary><code>keepdim=True</code> leaves a dimension of 1, so that a group's mean
# can be subtracted from its answers. <code>clamp_min(1e-6)</code> keeps you from dividing by 0.</details>


# %% tags=["exercise"]
def relative(reward):
    # your code
    ...


check("17.2", relative)


# %% tags=["solution"]
def relative(reward):
    better = reward - reward.mean(1, keepdim=True)
    return better / reward.std(1, keepdim=True).clamp_min(1e-6)


check("17.2", relative)

# %% [markdown]
# ## Ratio, clip, and the distance to where we came from  (about 35 min to here) (deeper)
#
# The rest is lesson 08, for each token $t$ of an answer: the ratio $\rho_t$ of its new probability to the
# one noted when it was written, the clip, and a mean over the tokens of all answers:
#
# $$ L = -\,\text{mean}_t\,\min\big(\rho_t\, A,\ \text{clip}(\rho_t,\, 1 - \epsilon,\, 1 + \epsilon)\, A\big) $$
#
# ### Exercise 17.3: the clipped loss of tokens  (5 min)
# Write `token_loss(log_prob, old_log_prob, advantage, mask, eps)`. `log_prob`, `old_log_prob` and `mask`
# have shape `[answers, length]`, `advantage` has shape `[answers]`. Return $L$ from above, one number, with its
# minus: the mean goes over all tokens of all answers for which `mask` is True (not first over each answer). The
# gradient has to reach `log_prob`.
# <details><summary>Hint</summary>Each token has a ratio of its own. <code>advantage.unsqueeze(1)</code>
# fits it to the tokens of its answer, and <code>loss[mask]</code> picks those that count.</details>


# %% tags=["exercise"]
def token_loss(log_prob, old_log_prob, advantage, mask, eps):
    # your code
    ...


check("17.3", token_loss)


# %% tags=["solution"]
def token_loss(log_prob, old_log_prob, advantage, mask, eps):
    ratio, advantage = (log_prob - old_log_prob).exp(), advantage.unsqueeze(1)
    clipped = ratio.clamp(1 - eps, 1 + eps)
    return -torch.min(ratio * advantage, clipped * advantage)[mask].mean()


check("17.3", token_loss)

# %% [markdown]
# `GRPOLoss` is exactly that. Let us move the pupil a little, so that the ratios are not all 1, and
# compare with the formula written out:

# %% tags=["look"]
from torchrl.objectives.llm import GRPOLoss

moved = LanguageModel()
moved.load_state_dict({name: 1.02 * weights for name, weights in kept.items()})
theirs = GRPOLoss(Writer(moved), clip_epsilon=0.2, entropy_bonus=False)(batch)
mask = batch["masks", "all_assistant_mask"]
ratio = (score(moved, batch["tokens", "full"]) - batch["log_probs", "full"])[mask].exp()
advantage = batch["advantage"].squeeze(-1)[mask]
ours = -torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
assert torch.allclose(theirs.loss_objective, ours, atol=1e-6)
outside = ((ratio - 1).abs() > 0.2).float().mean()
print(f"loss {ours:.4f}; outside the clip: ours {outside:.3f}, TorchRL {theirs.clip_fraction:.3f}")

# %% [markdown]
# The loss is the same. The clip fraction is not: TorchRL divides by *all* places, those of the question and of the filling
# among them, where nothing can be clipped. (So does its `kl_approx`.) The longer the question, the
# smaller the number, though as many tokens are clipped.
#
# Often one more term is added. A reward knows one thing only, and a model that is after it may forget all else. So its
# distance to the **reference**, the model before the first reward, is measured: the KL divergence. From
# answers drawn by the new model it can be estimated token by token, with $d = \log \pi_\text{ref} -
# \log \pi_\text{new}$:
#
# | estimate | | |
# |---|---|---|
# | `k1` | $-d$ | right in the mean, but noisy, and often below 0 |
# | `k3` | $e^d - 1 - d$ | right in the mean too, never below 0 |
#
# ### Exercise 17.4: how far from the reference?  (4 min)
# Write `distance(log_prob, ref_log_prob, mask)`, shapes `[answers, length]`: the mean of `k3` over the
# tokens for which `mask` is True, one number. The gradient has to reach `log_prob`.
# <details><summary>Hint</summary>Compute <code>d</code> first, pick its tokens with <code>mask</code>, then
# <code>exp</code>.</details>


# %% tags=["exercise"]
def distance(log_prob, ref_log_prob, mask):
    # your code
    ...


check("17.4", distance)


# %% tags=["solution"]
def distance(log_prob, ref_log_prob, mask):
    gap = (ref_log_prob - log_prob)[mask]
    return (gap.exp() - 1 - gap).mean()


check("17.4", distance)

# %% [markdown]
# `GRPOLoss(kl_to_ref_coeff=...)` adds this term, from `("next", "ref_log_probs", "full")`. (It, too, is a mean
# over all places.) We only *watch* the distance.
#
# ## Training  (about 48 min to here)
#
# All together. A round: 16 questions, 16 answers each, then two steps on them. The learning rate falls
# to 0, as in lesson 08. What decides the advantages is a setting, for comparison later.

# %% id="17-train"
from torchrl.objectives.llm import GRPOLoss


def train(model, seed, rounds=60, passes=2, advantage=group_advantage, reward=exact, **options):
    torch.manual_seed(seed)
    world, writer = Sums(16, ANSWERS, reward), Writer(model)
    world.set_seed(seed)
    loss = GRPOLoss(writer, clip_epsilon=0.2, entropy_bonus=False)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, rounds)
    watch, draw = options.get("watch"), options.get("draw", DRAWN)
    for number in range(rounds):
        with torch.no_grad(), set_exploration_type(draw):
            batch = world.rollout(1, writer)[:, 0]
        batch["advantage"] = advantage(batch)
        for _ in range(passes):
            optimiser.zero_grad()
            loss(batch).loss_objective.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimiser.step()
        schedule.step()
        if watch:
            watch(number, batch)


# %% [markdown]
# Two things are watched. One is how far the pupil moves from the **reference**, the pupil before it had any
# reward: their KL divergence for each token, 0 where both agree. The other is
# a handful of answers that is put aside now: two questions, the pupil's own answers, and what they are worth.
# Through training we note how likely the model finds each of their tokens.

# %%
HANDFUL = 6  # answers to each of two questions
torch.manual_seed(seed + 1)
few = Sums(2, HANDFUL, exact)
few.set_seed(seed + 1)
with torch.no_grad(), set_exploration_type(DRAWN):
    handful = few.rollout(1, Writer(pupil))[:, 0]
handful_tokens = handful["tokens", "full"]  # [answers, length]
handful_mask = handful["masks", "all_assistant_mask"]  # [answers, length]
paid = handful["next", "reward"].view(2, HANDFUL)
better = paid - paid.mean(1, keepdim=True)
handful_advantages = (better / paid.std(1, keepdim=True).clamp_min(1e-6)).flatten()  # [answers]

# %% tags=["look"]
for text, advantage in zip(decode(handful_tokens), handful_advantages, strict=True):
    print(f"{text:15} {advantage:+.2f}")

# %% id="17-grpo"
from course_utils import LivePlot

reference = LanguageModel()
reference.load_state_dict(kept)
checkpoints, handful_log_probs, distances = [], [], []


def look_back(model, number, batch):
    with torch.no_grad():
        mask, full = batch["masks", "all_assistant_mask"], batch["tokens", "full"]
        gap = (score(reference, full) - batch["log_probs", "full"])[mask]
        distances.append((gap.exp() - 1 - gap).mean().item())
        if number % 6 == 0:
            checkpoints.append(number)
            handful_log_probs.append(score(model, handful_tokens))


# %%
with LivePlot("rounds of 256 answers", "share of answers", total=60) as live:

    def watch(number, batch):
        look_back(pupil, number, batch)
        live.add(number, exact=batch["next", "reward"].mean().item())

    train(pupil, seed, watch=watch)
checkpoints.append(60)
with torch.no_grad():
    handful_log_probs.append(score(pupil, handful_tokens))
handful_log_probs = torch.stack(handful_log_probs)  # [checkpoints, answers, length]

# %% tags=["look"]
after_rewards = {kind: share_exact(pupil, kind) for kind in (GREEDY, DRAWN)}
print(f"before: greedily {after_imitation[GREEDY]:.0%}, drawn {after_imitation[DRAWN]:.0%}")
print(f"after:  greedily {after_rewards[GREEDY]:.0%}, drawn {after_rewards[DRAWN]:.0%}")
print(f"distance to the reference at the end: {distances[-1]:.2f} a token")

# %% [markdown]
# Compare with the rule: 85 % in both ways. The pupil is better than its teacher, on sums it has never seen.
# Nobody showed it a single answer more. Where did
# the knowledge come from? From itself: among its own answers there were right ones, and the reward
# said which. What a model *never* writes cannot be rewarded. That is why imitation comes first.
#
# How the handful of answers fared:

# %% tags=["look"]
chances = torch.where(handful_mask, handful_log_probs, 0.0).sum(-1).exp()  # [checkpoints, answers]
figure, axes = plt.subplots(figsize=(7, 3.2))
good = handful_advantages > 0
shown = {"right": (good, "C0", "-"), "wrong": (~good, "C1", "--")}
for name, (rows, colour, style) in shown.items():
    axes.plot(checkpoints, chances[:, rows], color=colour, ls=style, lw=1.2)
    axes.plot([], [], color=colour, ls=style, label=name)
axes.set(xlabel="rounds", ylabel="probability of the answer", ylim=(0, 1))
figure.legend(loc="outside upper center", ncols=2)
ends = [
    f"{name} {chances[-1, rows].mean():.2f}" for name, (rows, *_) in shown.items() if rows.any()
]
show_figure(
    figure, "Probability of each put-aside answer. In the mean at the end: " + ", ".join(ends)
)

# %% [markdown]
# And token by token: colour and arrows say what training made of a token's probability, the line below it
# what its answer's advantage was. Step through the checkpoints, and choose an answer. In a wrong one, which
# tokens lose, and which stay as they were?

# %% tags=["look"]
from course_utils import TokenScrubber

TokenScrubber(
    [list(text.ljust(14, "#")) for text in decode(handful_tokens)],
    handful_advantages,
    handful_log_probs,
    mask=handful_mask,
    checkpoints=[f"round {number}" for number in checkpoints],
)

# %% [markdown]
# The sign that makes the answer wrong loses. The others stay: what a wrong answer shares with right ones is
# pushed down by the one and up by the others, and what stands behind the mistake is soon not written any more, so
# nothing pushes it. Nor were these answers learned by heart: training draws 960 of 3,145 questions, so
# it met each of these two with a chance of about one in four. What it learned is to carry.
#
# So what in GRPO is the PPO of lesson 08?
#
# | | PPO | GRPO |
# |---|---|---|
# | the ratio of new to noted probability | yes | the same, for each token |
# | the clip, and the smaller of the two | yes | the same |
# | several steps on one batch, then thrown away | yes | the same |
# | what is usual | a critic, learned | the mean of the group |
# | the advantage | of each step, by GAE | of the whole answer, the same for all its tokens |
# | its scale | spread of the minibatch | spread of the group |
# | kept from moving too far by | clip | clip, and often the distance to a reference (not here) |
# | needs | a network more | several answers to the same question |
#
# ## A trap: without drawing, nothing is learned  (about 54 min to here)
#
# Predict: what happens if the answers are written greedily, as in an exam?

# %% tags=["look"]
trapped = LanguageModel()
trapped.load_state_dict(kept)
alike = []


def spread_of_groups(number, batch):
    alike.append(batch["advantage"].abs().max().item())


train(trapped, seed, rounds=3, draw=GREEDY, watch=spread_of_groups)
unchanged = all(torch.equal(now, kept[name]) for name, now in trapped.state_dict().items())
print("largest advantage of each round:", alike, " weights unchanged:", unchanged)

# %% [markdown]
# All answers of a group are the same, so none is better than the others: advantage 0, gradient 0, and not
# one weight moved. Nothing warns. It happens easily: under TorchRL a policy is deterministic unless
# `set_exploration_type(RANDOM)` says otherwise (a `Collector` says it, a plain `rollout` does not). For the same
# reason a question that all get right, or all get wrong, teaches nothing.
#
# ## Three ways, over seeds  (about 56 min to here) (deeper)
#
# How much of it is the *group*? The same loop with other advantages. The runs are stored, six seeds of each way:
# the next cell only shows what was changed for them.
# %% [markdown]
# PPO learns a critic instead, here a second transformer with one output: what is the text so far worth? With one
# reward at the end, an advantage is the reward minus that (`GAE` with $\gamma = \lambda = 1$). REINFORCE
# takes the reward as it is.


# %% id="17-rivals"
def reward_itself(batch):
    return for_each_token(batch["next", "reward"], batch)


class CriticAdvantage:
    def __init__(self):
        self.critic = LanguageModel(outputs=1)
        self.optimiser = torch.optim.Adam(self.critic.parameters(), lr=1e-3)

    def __call__(self, batch):
        mask, reward = batch["masks", "all_assistant_mask"], batch["next", "reward"]
        worth = scores_of(self.critic, batch["tokens", "full"]).squeeze(-1)
        self.optimiser.zero_grad()
        (worth - reward)[mask].square().mean().backward()
        self.optimiser.step()
        better = reward - worth.detach()
        chosen = better[mask]
        return ((better - chosen.mean()) / chosen.std()).unsqueeze(-1)


# %% tags=["look"]
ways = ["GRPO", "REINFORCE", "PPO"]
figure, axes = plt.subplots(figsize=(7, 3.4))
said = []
for number, way in enumerate(ways):
    curves = torch.tensor([run["curve"] for run in measured[way].values()])
    early, late = curves[:, :20].mean(), curves[:, -10:].mean()
    said.append(f"{way}: first 20 rounds {early:.0%}, last ten {late:.0%}")
    axes.plot(curves.T, color=f"C{number}", lw=0.6, alpha=0.4)
    axes.plot(curves.mean(0), color=f"C{number}", lw=2, label=way)
axes.set(xlabel="rounds of 256 answers", ylabel="share of exact answers", ylim=(0, 1))
figure.legend(loc="outside upper center", ncols=3)
show_figure(figure, "Exact answers while training, a thin line a seed. " + "; ".join(said))

# %% tags=["look"]
for way in ways:
    runs = measured[way].values()
    both = [(run["greedy"], run["drawn"]) for run in runs]
    learned = sum(min(pair) >= 0.85 for pair in both)
    seconds = sum(run["cpu_seconds"] for run in runs) / len(runs)
    worst = min(drawn for _, drawn in both)
    print(
        f"{way:10} learned in {learned} of {len(both)}, worst {worst:.0%} drawn, {seconds:.0f} core s"
    )

# %% [markdown]
# All three learn, from the same number of answers: with rewards of 0 and 1, and questions that are equally hard,
# each of the three finds its way.
# GRPO's curve runs with PPO's, without the second network on which PPO spends a part of its
# seconds. REINFORCE lags. It knows no "better than usual", and it has no ratio and no clip, so it takes only one step
# on each round, not two: which of the two makes it lag these runs do not tell. This is no proof
# that critics are useless. With long answers, or with rewards on the way, a group knows less than a critic does.
#
# ## The curve that looks fine  (about 60 min to here)
#
# Somebody finds `exact` too strict: a right answer in too many words would be paid nothing. So the number
# is looked for *anywhere* in the answer:

# %% id="17-lenient"
import re


def lenient(asked, written):
    a, b = asked.removesuffix("=").split("+")
    return float(str(int(a) + int(b)) in re.findall(r"\d+", written))


# %% tags=["look"]
[lenient("37+48=", written) for written in ["85.", "75.", "so 85.", "85=85=85."]]

# %% [markdown]
# Every right answer is still paid, and no answer without the right number. Train the pupil of the beginning with it. One line
# is what the training sees, its reward. The other is the exam, which the training never sees.

# %% id="17-hacked"
hacked = LanguageModel()
hacked.load_state_dict(kept)
rewards, truth, drift = [], [], []


def look_deeper(number, batch):
    rewards.append(batch["next", "reward"].mean().item())
    truth.append(share_exact(hacked, DRAWN))
    full, mask = batch["tokens", "full"], batch["masks", "all_assistant_mask"]
    with torch.no_grad():
        gap = (score(reference, full) - batch["log_probs", "full"])[mask]
    drift.append((gap.exp() - 1 - gap).mean().item())


train(hacked, seed, rounds=30, reward=lenient, watch=look_deeper)

# %% tags=["look"]
print(f"reward of the last five rounds: {sum(rewards[-5:]) / 5:.2f}")

# %% [markdown]
# A reward near its maximum after 30 rounds, a smooth curve. Would you hand it out? Here is the exam:

# %% tags=["look"]
print(f"distance to the reference: first round {drift[0]:.2f}, last {drift[-1]:.2f} a token")
figure, axes = plt.subplots(figsize=(7, 3.2))
axes.plot(rewards, color="C0", label="reward")
axes.plot(truth, color="C1", ls="--", label="exact on the exam")
axes.set(xlabel="rounds of 256 answers", ylabel="share of answers", ylim=(0, 1.02))
figure.legend(loc="outside upper center", ncols=2)
show_figure(
    figure,
    f"Reward from {rewards[0]:.2f} to {rewards[-1]:.2f}; exact on the exam from {truth[0]:.2f}, "
    f"at best {max(truth):.2f}, at the end {truth[-1]:.2f}",
)

# %% tags=["look"]
for asked, written in list(zip(decode(PROMPTS[EXAM]), sit_exam(hacked, DRAWN), strict=True))[:5]:
    print(asked, written)

# %% [markdown]
# The reward rises, the exam falls. (It is sat after a round's two steps, the reward is from before them: so the
# exam's line begins higher.) It learned what was paid: to go on after the first number. Where the first is
# wrong, the next may be right. This is **reward hacking**. It grew from a habit that the teacher had
# in one answer of ten; and as nothing pays for ending, the end sign goes, too. No error, no instability,
# no warning: the curve that everybody looks at is the very thing that is being cheated.
#
# What helps:
#
# - *Read the answers.* Ten of them are enough here.
# - *An exam that training never sees,* stricter than the reward.
# - *Watch the distance to the reference.* It cannot tell good from bad, but it tells that something happens.
# - *Close the hole.* A reward pays for the whole answer, not for what can be found in it.

# %% tags=["look"]
measured_hole = measured["GRPO, a reward with a hole"].values()
for run in measured_hole:
    print(f"reward at the end {run['curve'][-1]:.2f}, exact on the exam {run['drawn']:.0%}")

# %% [markdown]
# So it went in each of the stored runs. Is closing the hole enough, if the cheating model just goes on with the
# repaired reward?

# %% tags=["look"]
repaired = LanguageModel()
repaired.load_state_dict(hacked.state_dict())
still_paid = []
train(
    repaired,
    seed,
    rounds=10,
    watch=lambda _, b: still_paid.append(b["next", "reward"].mean().item()),
)
print("paid in ten more rounds:", [round(value, 2) for value in still_paid])
print(f"exact on the exam: {share_exact(repaired, DRAWN):.0%}")

# %% [markdown]
# It is on its way back: some answers were still right (the first number above is their share), so there was
# something to reward. Had no group
# held a right answer any more, every advantage would be 0, and no reward however good could bring it back. Then only the
# weights of before are left. So keep them.

# %% [markdown]
# ## Through TorchRL's own wrapper  (about 66 min to here) (deeper)
#
# A model of Hugging Face's `transformers` needs no `Writer` of one's own: `TransformersWrapper` turns it into
# a policy, `ChatEnv` keeps the turns of a chat. It is an extra of the course; nothing is downloaded here, for the
# model is built from a configuration and its tokenizer by hand.

# %%
from course_utils import ask_for_extra

has_llm = ask_for_extra("llm", "the cells of this section show nothing; all others run as they are")

# %% [markdown]
# The *chat template* says how turns become text. TorchRL needs the way back as well: which part of a text
# was said by whom, as a `History` of turns. `add_chat_template` takes both.

# %%
from torchrl.data.llm import History, add_chat_template

TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}{% generation %}"
    "{{ message['content'] }}{% endgeneration %}{% else %}{{ message['content'] }}"
    "{% endif %}{% endfor %}"
)


def turns_of(text):
    asked, written = text.split("=", 1)
    turns = [{"role": "user", "content": asked + "="}]
    turns += [{"role": "assistant", "content": written}] if written else []
    return History.from_chats([turns])[0]


add_chat_template("sums", TEMPLATE, inverse_parser=turns_of)

# %%
if has_llm:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel(NUMBER, unk_token="#"))
    words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    words.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token=".", pad_token="#", unk_token="#"
    )
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    ends = {"bos_token_id": None, "eos_token_id": END, "pad_token_id": FILL}
    config = LlamaConfig(vocab_size=len(SIGNS), num_attention_heads=4, **sizes, **ends)
    torch.manual_seed(seed)
    llama = LlamaForCausalLM(config).eval()
    print(f"{sum(weights.numel() for weights in llama.parameters()):,} weights")

# %% [markdown]
# One model, two wrappers: one writes, one reads what is written.

# %%
if has_llm:
    import warnings

    from torchrl.envs.llm import ChatEnv
    from torchrl.modules.llm import TransformersWrapper

    warnings.filterwarnings("ignore", message="size_average")  # the wrapper's, of torch
    options = {"tokenizer": tokenizer, "input_mode": "history", "pad_output": True}
    options |= {"chat_template_name": "sums", "return_log_probs": True}
    drawing = {"max_new_tokens": LONGEST, "do_sample": True}
    llama_writes = TransformersWrapper(llama, generate=True, generate_kwargs=drawing, **options)
    llama_reads = TransformersWrapper(llama, generate=False, **options)
    chat = ChatEnv(batch_size=(4,), input_mode="history", tokenizer=tokenizer)
    with torch.no_grad():
        written = llama_writes(chat.reset(TensorDict({"query": ["37+48="] * 4}, [4])))
        read = llama_reads(written.copy())
    for turns in written["history"].full.unbind(0):
        print([(turn.role, turn.content) for turn in turns.unbind(0)])

# %% [markdown]
# An untrained model writes noise, but each turn has its role. Now compare the two.

# %% tags=["look"]
if has_llm:
    place = 6  # the first token of the answer
    print("noted while writing, whole text:", written["log_probs"].full)
    print("noted while writing, answer:    ", written["log_probs"].response[0, :4].numpy().round(2))
    print(
        "read afterwards, answer:        ",
        read["log_probs"].full[0, place : place + 4].numpy().round(2),
    )
    print("mask while writing:", written["masks"].all_assistant_mask)
    print("mask read:         ", read["masks"].all_assistant_mask[0].int().tolist())

# %% [markdown]
# What is noted while writing is not enough in this release: no mask, nothing for the whole text, and the *first*
# token of an answer is noted with 0, as if it had been certain. Read afterwards, everything is there. So
# a round is: write, read, pay, learn. From here on it is what you know:

# %% tags=["look"]
if has_llm:
    read["advantage"] = torch.tensor([2.0, -1.0, 0.5, -0.5]).view(4, 1, 1)
    found = GRPOLoss(llama_reads, masking_strategy="rlhf", entropy_bonus=False)(read)
    mask = read["masks"].all_assistant_mask
    by_hand = -read["advantage"].expand(*mask.shape, 1).squeeze(-1)[mask].mean()
    assert torch.allclose(found.loss_objective, by_hand, atol=1e-6)
    print(f"GRPOLoss {found.loss_objective.item():.4f}, by hand {by_hand.item():.4f}")

# %% [markdown]
# (All ratios are 1 before the first step, so minus the tokens' mean advantage is left.) `masking_strategy="rlhf"`
# takes the assistant's mask; `RetrieveLogProb` and `KLRewardTransform` read a reference in the same way.

# %% [markdown]
# ## A model of a real size  (about 70 min to here) (deeper)
#
# What changes when the model is not ours of a hundred thousand weights, but one of half a billion, or of
# seven billion? Not the loop: answers, rewards, advantages, ratio, clip stay what they are. What changes is
# *where things are*: the model that writes, the model that learns and the model that is compared with no
# longer fit beside each other.
#
# *Nothing in this section was run with a model of a real size*: that takes graphics cards we did not have. What
# can be tried with a tiny model runs here, in the cells. What cannot is shown as text. Those texts were
# not run; the course's tests check that each name in them exists in the TorchRL you have, and takes the
# arguments it is given.
#
# ### How much memory?
#
# We need the number of weights. On torch's device `meta` a model is built without a single number in it:
# all shapes, no memory.

# %%
from course_utils import ask_for_extra

has_llm = ask_for_extra("llm", "the cells of this section show nothing; all others run as they are")
if has_llm:
    from transformers import LlamaConfig, LlamaForCausalLM

    def llama(letters, width, inner, layers, heads, key_heads, tied=False):
        return LlamaConfig(
            vocab_size=letters,
            hidden_size=width,
            intermediate_size=inner,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=key_heads,
            tie_word_embeddings=tied,
        )

    SIZES = {
        "tiny": llama(15, 64, 128, 2, 4, 4),
        "0.5B": llama(151_936, 896, 4_864, 24, 14, 2, tied=True),
        "7B": llama(152_064, 3_584, 18_944, 28, 28, 4),
    }


# %%
def count_weights(config):
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    return sum(weight.numel() for weight in model.parameters())


if has_llm:
    for name, config in SIZES.items():
        print(f"{name:>5}: {count_weights(config):>13,} weights")

# %% [markdown]
# (The shapes are those of models that are often trained this way, in a Llama's layout.) Now the bytes.
# With $n$ weights, in the usual mixed precision:
#
# - the weights to compute with, in bfloat16: $2n$; their gradients: $2n$;
# - Adam: a copy of the weights in float32 and two running means, $4n + 4n + 4n$;
# - a frozen reference for the KL term: $2n$;
# - the model that writes: $2n$, and its **KV cache**: for each token that was read or written, in each
#   layer, a key and a value, so that the next token need not read all of it again: $2 \cdot
#   \text{layers} \cdot \text{key heads} \cdot \text{width of a head} \cdot 2$ bytes a token.


# %%
def memory(config, answers=64, tokens=1_024):
    weights, head = count_weights(config), config.hidden_size // config.num_attention_heads
    per_token = 2 * config.num_hidden_layers * config.num_key_value_heads * head * 2
    return {
        "weights": 2 * weights,
        "gradients": 2 * weights,
        "Adam": 12 * weights,
        "reference": 2 * weights,
        "writer": 2 * weights,
        "KV cache": per_token * answers * tokens,
    }


if has_llm:
    print("GB     " + "".join(f"{part:>11}" for part in [*memory(SIZES["tiny"]), "all"]))
    for name, config in SIZES.items():
        parts = list(memory(config).values())
        print(f"{name:>5}: " + "".join(f"{part / 1e9:>11.3g}" for part in [*parts, sum(parts)]))

# %% [markdown]
# What the layers keep for the way back (activations) comes on top, and grows with the answers that are learned
# from at once. So a model of half a billion may fit on one card of 16 GB, if those are few.
# Of seven billion, weights, gradients and Adam alone are more than a card of
# 80 GB holds, and most of it is Adam. This table is why real recipes look as they do:
#
# | what | why | where in TorchRL |
# | --- | --- | --- |
# | train few weights (LoRA) | gradients and Adam shrink to almost nothing | `TransformersWrapper`, around such a model |
# | another program writes (vLLM) | it is many times faster at writing, and holds the KV cache | `vLLMWrapper` |
# | weights are sent to it | the writer is a copy, and grows old (lesson 12) | `torchrl.weight_update.llm` |
# | collector and buffer between them | cards that write and cards that learn need not wait | `RayLLMCollector`, `ReplayBuffer` |
# | the reference elsewhere | it only reads: no gradients, no Adam | `KLRewardTransform` |
#
# ### Few weights: LoRA
#
# **LoRA** ([Hu et al., 2021](https://arxiv.org/abs/2106.09685)) freezes a weight matrix $W$ and learns a
# change of low rank $r$ beside it: $Wx + B A x$, where $A$ has $r$ rows and $B$ has $r$ columns. $B$
# begins at zero, so the model begins as it was.


# %%
class LoRA(torch.nn.Module):
    def __init__(self, layer, rank=4):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = torch.nn.Parameter(
            torch.randn(rank, layer.in_features) / layer.in_features**0.5
        )
        self.up = torch.nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, x):
        return self.layer(x) + x @ self.down.T @ self.up.T


if has_llm:
    torch.manual_seed(seed)
    small = LlamaForCausalLM(SIZES["tiny"]).eval().requires_grad_(False)
    letters = torch.tensor([[3, 12, 4, 13]])
    before = small(letters).logits
    for layer in small.model.layers:
        layer.self_attn.q_proj = LoRA(layer.self_attn.q_proj)
        layer.self_attn.v_proj = LoRA(layer.self_attn.v_proj)
    trained = sum(weight.numel() for weight in small.parameters() if weight.requires_grad)
    print("still the same answers:", torch.equal(before, small(letters).logits))
    print(f"weights that are trained: {trained:,} of {count_weights(SIZES['tiny']):,}")

# %% [markdown]
# Two places in each layer, the queries and the values, and little is left to train. The larger the model, the
# smaller the share: how much does rank 16 leave to train, in the same two places, of the large ones?


# %%
def lora_weights(config, rank=16):
    head = config.hidden_size // config.num_attention_heads
    out = config.hidden_size + config.num_key_value_heads * head  # of queries and of values
    return config.num_hidden_layers * rank * (2 * config.hidden_size + out)


if has_llm:
    for name in ("0.5B", "7B"):
        few, all_of_them = lora_weights(SIZES[name]), count_weights(SIZES[name])
        print(
            f"{name:>5}: {few:,} weights, {few / all_of_them:.2%}; "
            f"gradients and Adam {14 * few / 1e9:.2g} GB instead of {14 * all_of_them / 1e9:.3g} GB"
        )

# %% [markdown]
# And the reference comes for nothing: it is the same model with the change left out. People take LoRA
# from the package `peft`, which puts it into a model of transformers. It is not installed here, and so
# not checked:
#
# ```python
# from peft import LoraConfig, get_peft_model
#
# model = get_peft_model(model, LoraConfig(r=16, target_modules=["q_proj", "v_proj"]))
# learner = TransformersWrapper(model, tokenizer=tokenizer, input_mode="history", generate=False)
# ```
#
# ### A writer of its own, and weights on their way
#
# The learner has to give its new weights to the writer after each round. TorchRL calls the way they take
# a **weight sync scheme**. The simplest, `VLLMDoubleBufferSyncScheme`, is a folder that both can see;
# and that one we can try, with a second tiny model as the writer. `get_model_metadata` lists what will
# come: names, types and shapes.

# %%
import tempfile

from torchrl import logger

# %%
if has_llm:
    from torchrl.weight_update.llm import VLLMDoubleBufferSyncScheme, get_model_metadata

    logger.setLevel("WARNING")
    learner_model, writer_model = (LlamaForCausalLM(SIZES["tiny"]).eval() for _ in range(2))
    print(
        "the same before:", torch.equal(learner_model(letters).logits, writer_model(letters).logits)
    )
    with tempfile.TemporaryDirectory() as folder:
        scheme = VLLMDoubleBufferSyncScheme(remote_addr=folder)
        sender = scheme.create_sender()
        sender.register_model(learner_model)
        sender.update_weights()
        received = scheme.create_transport().receive_weights()
        writer_model.load_state_dict(
            {name: received[name].clone() for name in writer_model.state_dict()}
        )
    print(
        "the same after: ", torch.equal(learner_model(letters).logits, writer_model(letters).logits)
    )
    name, (dtype, shape) = next(iter(get_model_metadata(learner_model).items()))
    print(
        f"{len(received.keys())} tensors went through the folder; the first is {name}, {list(shape)}"
    )

# %% [markdown]
# With cards, the writer is vLLM in processes of its own, and the weights go from card to card (NCCL).
# The calls from above remain: make a scheme and its sender, register the model, update. One is new: it joins the
# processes into a group, and tells them what will come:
#
# ```python
# from torchrl.modules.llm import TransformersWrapper, make_async_vllm_engine, vLLMWrapper
# from torchrl.weight_update.llm import VLLMWeightSyncScheme, get_model_metadata
#
# engine = make_async_vllm_engine(model_name="Qwen/Qwen2.5-0.5B-Instruct", num_devices=1, num_replicas=2)
# writer = vLLMWrapper(engine, input_mode="history", generate=True, num_samples=16, return_log_probs=True)
# learner = TransformersWrapper(model, tokenizer=tokenizer, input_mode="history", generate=False)
#
# scheme = VLLMWeightSyncScheme(gpus_per_replica=1, num_replicas=2)
# sender = scheme.create_sender()
# sender.register_model(model)  # the model itself: in the wrapper all names would begin with one "model." more
# sender.init_all_workers_group(get_model_metadata(model), vllm_engine=engine)
# sender.update_weights()  # after each round of learning
# ```
#
# ### Between them: an environment, a collector, a buffer
#
# What runs between writer and learner you know from lessons 05 and 08 (more of it is in 12), and it runs with a
# tiny model, too. The environment, a `ChatEnv` with two transforms, asks and pays;
# `LLMCollector` plays; and the buffer, a
# `ReplayBuffer` whose `LazyStackStorage` takes answers of any length, computes advantages on the way in:
# `MCAdvantage` waits until it has all the answers to one prompt, and hands them on together. First a
# tokenizer for the tiny model:

# %%
import warnings

from tensordict import TensorDict
from torchrl.data import Unbounded
from torchrl.envs import InitTracker, Transform

warnings.filterwarnings(
    "ignore", message="size_average and reduce args"
)  # TorchRL's own call of torch

if has_llm:
    from torchrl.envs.llm import ChatEnv
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    signs = ["<pad>", "<end>", *"0123456789+= "]
    inner = Tokenizer(
        models.WordLevel({sign: number for number, sign in enumerate(signs)}, unk_token="<pad>")
    )
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Split("", "isolated"), decoders.Fuse()
    speller = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", padding_side="left"
    )
    plain = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    print(speller("12+30=")["input_ids"], speller.decode([6, 4, 1]))

# %% [markdown]
# Then the environment: a `Transform` asks, another pays.


# %%
class Asks(Transform):  # the same question to all; another one at each reset
    asked = 0

    def _reset_env_preprocess(self, td):
        self.asked += 1
        td = TensorDict(batch_size=self.parent.batch_size) if td is None else td
        return td.set("query", [f"{self.asked % 10}+3="] * self.parent.batch_size[0])


class Pays(Transform):  # 1 for an answer that is nothing but digits
    def _step(self, td, next_td):
        right = [answer.removesuffix("<end>").isdigit() for answer in td["text"].response]
        next_td["reward"] = torch.tensor(right).float().unsqueeze(-1)
        next_td["done"] = next_td["terminated"] = torch.ones_like(next_td["done"])
        return next_td

    def transform_reward_spec(self, spec):
        spec["reward"] = Unbounded((*spec.shape, 1))
        return spec


# %%
def make_env():
    env = ChatEnv(
        batch_size=(8,),
        input_mode="text",
        tokenizer=speller,
        template_kwargs={"chat_template": plain},
    )
    return env.append_transform(Asks()).append_transform(Pays()).append_transform(InitTracker())


# %% [markdown]
# And what plays in it, with `TransformersWrapper` as the writer:

# %%
from torchrl.data import LazyStackStorage, ReplayBuffer, SamplerWithoutReplacement
from torchrl.objectives.llm import MCAdvantage

if has_llm:
    from torchrl.modules.llm import TransformersWrapper
    from torchrl.collectors.llm import LLMCollector

    writer = TransformersWrapper(
        writer_model, tokenizer=speller, input_mode="text", generate=True, return_log_probs=True,
        generate_kwargs={"max_new_tokens": 3, "do_sample": True, "eos_token_id": 1, "pad_token_id": 0},
    )  # fmt: skip
    buffer = ReplayBuffer(
        storage=LazyStackStorage(32),
        sampler=SamplerWithoutReplacement(),
        batch_size=8,
        prefetch=1,  # the next batch is drawn while this one is learned from
        transform=MCAdvantage(grpo_size=8, prompt_key="query"),
    )
    collector = LLMCollector(
        make_env(), policy=writer, dialog_turns_per_batch=8, total_dialog_turns=32, replay_buffer=buffer,
        track_policy_version=True,
    )  # fmt: skip

# %% tags=["look"]
if has_llm:
    for _ in collector:
        collector.increment_version()  # here the learner would learn, and send its weights
    collector.shutdown()
    batch = buffer[:]
    rows = zip(
        batch["text"].full,
        batch["next", "reward"],
        batch["advantage"],
        batch["next", "policy_version"],
        strict=True,
    )
    for text, reward, advantage, version in list(rows)[::5]:
        print(
            f"{text:12} reward {reward.item():.0f}, advantage {advantage.item():+.2f}, of version {int(version)}"
        )

# %% [markdown]
# `track_policy_version` writes into each answer which weights made it (under `next`; beside the question
# stands the version that was there when it was asked): with cards that write while others learn, that is
# how one sees how old the data are. The ratio and its clip, which lesson 08 needed for a few epochs, are
# what makes the age bearable (lesson 12 measured how much). The same collector as a process of Ray, with
# a card of its own:
#
# ```python
# from torchrl.collectors.llm import RayLLMCollector
# from torchrl.data import LazyStackStorage, RayReplayBuffer
#
# buffer = RayReplayBuffer(storage=LazyStackStorage(512), batch_size=64)
# collector = RayLLMCollector(
#     make_env,
#     policy_factory=make_writer,
#     dialog_turns_per_batch=64,
#     replay_buffer=buffer,
#     track_policy_version=True,
#     sync_iter=False,
#     remote_config={"num_cpus": 2, "num_gpus": 1},
# )
# ```
#
# The reference sits on a card of its own, too. A transform of the environment asks it, and takes the KL
# term from the reward:
#
# ```python
# from torchrl.envs.llm import KLRewardTransform
# from torchrl.modules.llm import TransformersWrapper
#
# reference = TransformersWrapper(frozen, tokenizer=tokenizer, generate=False, return_log_probs=True, device="cuda:1")
# env = env.append_transform(KLRewardTransform(ref_model=reference, coef=0.01, device="cuda:0"))
# ```
#
# So a real run is this lesson's loop, its parts (writer, learner, buffer, reference) in different places.
# What we could *not* see here: how fast
# it is, how well the log-probabilities of vLLM agree with those of the learner (where they do not, the
# ratio takes it for a change of the policy), and what goes wrong with eight cards.

# %% [markdown]
# ## Exercises
#
# ### Exercise 17.5: a reward that cannot be cheated  (7 min)
# Models that *think* before they answer are right more often, so thinking is allowed now: of
# `37+48=75=85.` only what stands after the last `=` counts. Write `verified(asked, written)`. Both are lists of
# texts of the same length, here `["37+48="]` and `["75=85."]` (the `#` at the end are cut off already); return a
# list with 1.0 for each answer that is right, else 0.0. Right: after the last
# `=` of the answer (or from its beginning, where it has none) stands the sum, sign for sign, then one
# end sign, and nothing more.
#
# Before you check it: how would *you* cheat it?
# <details><summary>Hint</summary><code>text.split("=")</code> gives the parts. Compare texts with texts:
# <code>int</code> takes more for a number than you do.</details>

# %% tags=["exercise"]
from course_utils import check


def verified(asked, written):
    # your code
    ...


check("17.5", verified)


# %% tags=["solution"]
def verified(asked, written):
    rewards = []
    for question, answer in zip(asked, written, strict=True):
        a, b = question.removesuffix("=").split("+")
        said = answer.split("=")[-1]
        rewards.append(float(said == f"{int(a) + int(b)}."))
    return rewards


check("17.5", verified)

# %% [markdown]
# ### Exercise 17.6: build it: a task and a reward of your own  (15 min)
# Everything in this lesson can be had for another task, once there is an environment that asks and pays.
# Build one: sort five digits. Write a class `Sorting(questions, answers)`, an `EnvBase`:
#
# - its batch size is `[questions * answers]`, and `answers` rows that follow one another share a question;
# - `reset` draws new questions: `("tokens", "prompt")`, shape `[rows, 6]`, five digits from 0 to 9 (one may come
#   twice) and `=`, as numbers of `SIGNS`;
# - an action is `("tokens", "response")`, shape `[rows, 8]`, filled up with `#`;
# - `step` pays, as `reward` of shape `[rows, 1]`, 1.0 for the five sorted digits, one end sign and then only `#`
#   (`40213=` wants `01234.##`), and 0.0 for everything else; it keeps the prompt, and the episode is over;
# - `check_env_specs` has nothing to complain about;
# - after `set_seed` with the same number it asks the same questions.
#
# The check asks many questions, and tries to cheat. As many cells as you like.
# <details><summary>Hint 1</summary>Begin with a copy of <code>Sums</code> and <code>specs_of</code>. There is
# no list of questions now: <code>torch.randint(10, (questions, 5), generator=self.chance)</code>.</details>
# <details><summary>Hint 2</summary><code>torch.cat</code> puts the number of <code>=</code> behind the digits;
# <code>repeat_interleave(answers, 0)</code> gives each question its rows.</details>
# <details><summary>Hint 3</summary><code>"".join(sorted("40213"))</code> sorts a text. Or stay with numbers:
# <code>prompt[:, :5].sort(1).values</code>, the end sign, the filling, and compare whole rows.</details>


# %% tags=["exercise"]
from course_utils import check
from torchrl.envs import EnvBase


class Sorting(EnvBase): ...  # your code


check("17.6", Sorting)

# %% tags=["solution"]
import torch
from course_utils import check
from tensordict import TensorDict
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

DIGITS, EQUALS, DOT, HASH = 5, 11, 12, 13  # places in SIGNS


def sorting_specs(env, rows):
    prompt = Composite(prompt=Categorical(14, [rows, 6]), shape=[rows])
    response = Composite(response=Categorical(14, [rows, 8]), shape=[rows])
    env.observation_spec = Composite(tokens=prompt, shape=[rows])
    env.state_spec = env.observation_spec.clone()
    env.action_spec = Composite(tokens=response, shape=[rows])
    env.reward_spec = Unbounded([rows, 1])


def rightly_sorted(prompt, response):
    right = torch.full_like(response, HASH)
    right[:, :DIGITS] = prompt[:, :DIGITS].sort(1).values
    right[:, DIGITS] = DOT
    return (right == response).all(1, keepdim=True)


# %% tags=["solution"]
class Sorting(EnvBase):
    def __init__(self, questions, answers):
        super().__init__(batch_size=[questions * answers])
        self.questions, self.answers = questions, answers
        sorting_specs(self, questions * answers)
        self.set_seed(0)

    def _set_seed(self, seed):
        self.chance = torch.Generator().manual_seed(seed)

    def _reset(self, td):
        digits = torch.randint(10, (self.questions, DIGITS), generator=self.chance)
        asked = torch.cat([digits, torch.full((self.questions, 1), EQUALS)], 1)
        tokens = TensorDict({"prompt": asked.repeat_interleave(self.answers, 0)}, self.batch_size)
        return TensorDict({"tokens": tokens}, self.batch_size)

    def _step(self, td):
        right = rightly_sorted(td["tokens", "prompt"], td["tokens", "response"])
        over = torch.ones_like(right)
        end = {"reward": right.float(), "done": over, "terminated": over.clone()}
        return td.select(("tokens", "prompt")).update(end)


check("17.6", Sorting)

# %% [markdown]
# Does a pupil of sums get anything for it?

# %% tags=["solution"]
with torch.no_grad(), set_exploration_type(DRAWN):
    sorted_by_pupil = Sorting(16, ANSWERS).rollout(1, Writer(pupil))
for asked, written in zip(
    decode(sorted_by_pupil["tokens", "prompt"][::64, 0]),
    decode(sorted_by_pupil["tokens", "response"][::64, 0]),
    strict=True,
):
    print(asked, written)
print(f"paid: {sorted_by_pupil['next', 'reward'].mean().item():.2f}")

# %% [markdown]
# Nothing, and so it cannot learn it by rewards: no group has a right answer in it. It would have to imitate
# first, be it a bad teacher.
#
# ## What you can do now
#
# You can say how a language model is a policy, imitate with `SFTLoss`, write a reward that a few lines can verify,
# weigh an answer against its group, and write the loss that teaches it. You know which half of GRPO is PPO,
# why greedy groups teach nothing, and why a rising reward proves nothing until the answers were read.
#
# **Try next:** give `train` a term that keeps the model near the reference (`kl_to_ref_coeff` of
# `GRPOLoss`, with `score(reference, ...)` as `("next", "ref_log_probs", "full")`), and the reward with the hole.
# Predict first: does it close the hole, or does it only take longer?
#
# Next: [{{next title}}]({{next file}}).
