"""Questions about the US Constitution, with words of their passages and of their answers."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """A question, words of its passage, and words that the answer must contain."""

    question: str
    passage: str
    answer: str


CASES = [
    Case(
        "What age must a Representative have attained?",
        "attained to the Age of twenty five Years",
        "twenty five",
    ),
    Case(
        "What age must a Senator have attained?",
        "attained to the Age of thirty Years",
        "thirty",
    ),
    Case(
        "What age must the President have attained?",
        "attained to the Age of thirty five Years",
        "thirty five",
    ),
    Case(
        "Who has the sole power to try impeachments?",
        "sole Power to try all Impeachments",
        "Senate",
    ),
    Case(
        "When does the Vice President vote in the Senate?",
        "shall have no Vote, unless they be equally divided",
        "equally divided",
    ),
    Case(
        "Why do authors and inventors get an exclusive right?",
        "To promote the Progress of Science and useful Arts",
        "progress of science",
    ),
    Case(
        "May soldiers be quartered in a house in time of peace?",
        "No Soldier shall, in time of peace be quartered",
        "consent of the owner",
    ),
    Case(
        "What happens to a bill that the President does not return within ten days?",
        "shall not be returned by the President within ten Days",
        "law",
    ),
    Case(
        "What is treason against the United States?",
        "levying War against them",
        "levying war",
    ),
    Case(
        "When does the term of the President end?",
        "noon on the 20th day of January",
        "20th day of January",
    ),
    Case(
        "How often may a person be elected President?",
        "elected to the office of the President more than twice",
        "twice",
    ),
    Case(
        "From what age may citizens vote?",
        "eighteen years of age or older",
        "eighteen",
    ),
    Case(
        "Was the sale of alcohol ever forbidden?",
        "sale, or transportation of intoxicating liquors",
        "intoxicating liquors",
    ),
    Case(
        "May Congress tax what people earn?",
        "lay and collect taxes on incomes",
        "incomes",
    ),
    Case(
        "Is slavery allowed?",
        "Neither slavery nor involuntary servitude",
        "punishment for crime",
    ),
    Case(
        "What does it take to change the Constitution?",
        "two thirds of both Houses shall deem it necessary, shall propose Amendments",
        "three fourths",
    ),
]
