"""Two texts share an answer only where nothing that they say differs."""

from __future__ import annotations

import pytest

from assistant.services.wording import Guard, failing_guard, read_wording


def verdict(asked: str, answered: str) -> Guard | None:
    one, other = read_wording(asked), read_wording(answered)
    guard = failing_guard(one, other)
    assert failing_guard(other, one) == guard, "whoever was first, the guards say the same"
    return guard


@pytest.mark.parametrize(
    ("asked", "answered", "guard"),
    [
        ("flights from Paris to London", "flights from London to Paris", Guard.WORD_ORDER),
        (
            "Is it safe to take ibuprofen with alcohol?",
            "Is it unsafe to take ibuprofen with alcohol?",
            Guard.ANTONYM,
        ),
        ("convert 5 miles to kilometers", "convert 5 kilometers to miles", Guard.WORD_ORDER),
        ("What is 5 km in feet?", "What is 5 miles in feet?", Guard.NUMBER),
        ("Why should I eat raw eggs?", "Why shouldn't I eat raw eggs?", Guard.NEGATION),
        ("Can I bake it with eggs?", "Can I bake it without eggs?", Guard.NEGATION),
        ("Is he in?", "Is nobody in?", Guard.NEGATION),
        ("Summarize it in 3 points.", "Summarize it in three hundred points.", Guard.NUMBER),
        ("Give me $5 ideas", "Give me €5 ideas", Guard.NUMBER),
        ("What is new in Python 3.1?", "What is new in Python 3.10?", Guard.NUMBER),
        ("How long is 5 MB?", "How long is 5 Mb?", Guard.NUMBER),
        ("Who won in 1990?", "Who won in 1991?", Guard.NUMBER),
        ("Is it cold in May?", "Is it cold in March?", Guard.TIME),
        ("Is the store open on Monday?", "Is the store open on Sunday?", Guard.TIME),
        ("When is the next eclipse?", "When was the next eclipse?", Guard.TIME),
        ("Who wins the cup?", "Who won the cup?", Guard.TIME),
        ("Is it open at 5 am?", "Is it open at 5 pm?", Guard.NUMBER),
        ("Does the cat eat the dog?", "Does the dog eat the cat?", Guard.WORD_ORDER),
        ("Who did Oswald kill?", "Who killed Oswald?", Guard.WORD_ORDER),
        ("Was Caesar killed?", "Did Caesar kill?", Guard.WORD_ORDER),
        ("Is Go faster than Rust?", "Is Rust faster than Go?", Guard.WORD_ORDER),
        ("How do I open an account?", "How do I close an account?", Guard.ANTONYM),
        ("Should I eat before meals?", "Should I eat after meals?", Guard.ANTONYM),
        ("What is the capital of Iran?", "What is the capital of Iraq?", Guard.NAME),
        ("how do i sort a list in java", "how do i sort a list in perl", Guard.NAME),
        ("What causes migraine?", "What cures migraine?", Guard.ANTONYM),
        ("What is an apple?", "What is Apple?", Guard.NAME),
        ('What does "pending" mean?', 'What does "resolved" mean?', Guard.QUOTED),
        ("What does `-r` do?", "What does `-R` do?", Guard.QUOTED),
        ("Why is getName null?", "Why is setName null?", Guard.QUOTED),
        ("What is in /etc/passwd?", "What is in /etc/shadow?", Guard.QUOTED),
        ("Does ^\\d+$ match?", "Does ^\\d*$ match?", Guard.QUOTED),
        ("What is error E1001?", "What is error E1002?", Guard.QUOTED),
        ("Is 10 > 5?", "Is 10 < 5?", Guard.QUOTED),
        ("Delete all files", "Delete some files", Guard.SCOPE),
        ("What is the best phone?", "What is the worst phone?", Guard.ANTONYM),
        ("Does only he pay?", "Does he pay?", Guard.SCOPE),
        ("How much chicken is there?", "How many chickens are there?", Guard.SCOPE),
        ("Can I park here?", "Must I park here?", Guard.MODALITY),
        ("When was PHP invented?", "Why was PHP invented?", Guard.QUESTION),
        ("How often should I swim?", "How long should I swim?", Guard.SCOPE),
        ("What is my name?", "What is your name?", Guard.PERSON),
        ("How do you work?", "How do I work?", Guard.PERSON),
        ("The store is open", "Which store is open?", Guard.QUESTION),
    ],
)
def test_a_difference_that_matters_is_objected_to(asked: str, answered: str, guard: Guard) -> None:
    assert verdict(asked, answered) is guard


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("What does aspirin do?", "What is aspirin?"),
        ("Name a fruit", "What is a fruit?"),
        ("Is my phone charging?", "Is my phone charged?"),
        ("Is he boring?", "Is he bored?"),
        ("Is it possible to drive drunk?", "Is it allowed to drive drunk?"),
        ("How well does it perform?", "How does it perform?"),
        ("How old was he?", "How old is he?"),
        ("Only I ate fish", "I only ate fish"),
        ("hello", "thanks"),
        ("Can you ship to US?", "Can you ship to us?"),
        ("World War I", "World War II"),
        ("How long do I have to appeal?", "How long do I need to appeal?"),
        ("What are ethanol's uses?", "What are methanol's uses?"),
        ("What is a nitrate?", "What is a nitrite?"),
        ("What is 5 + 3?", "What is 5 - 3?"),
        ("I love you ❤️", "I love you 💔"),
    ],
)
def test_what_only_looks_alike_is_told_apart(asked: str, answered: str) -> None:
    assert verdict(asked, answered) is not None


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("What is the capital of France?", "Which city is the capital of France?"),
        ("What is the capital of France?", "  what's the CAPITAL of France ?!"),
        ("What is the capital of France?", "Hi, could you please tell me the capital of France?"),
        (
            "What is the capital of France?",
            "I'd like to know what the capital of France is, thanks!",
        ),
        ("What is London's weather in May?", "What's the weather like in London in May?"),
        ("How do I read a file in Go?", "What is the way to read a file using Go?"),
        ("How do I read a file in Go?", "In Go, how can I read files?"),
        ("How do I read a file in Go?", "How to read a file in Go"),
        ("flights from Paris to London", "flights to London from Paris"),
        ("How many people live in Spain?", "What is the population of Spain?"),
        ("Why can't I push?", "Why can I not push?"),
        ("Is 7 hours enough?", "Is seven hours enough?"),
        ("What is 20% of 450?", "Calculate twenty percent of 450."),
        ("What happened on March 5th, 2024?", "What happened on 5 March 2024?"),
        ("What happened on March 5th, 2024?", "What happened on 2024-03-05?"),
        ("Does it open at 5pm?", "Does it open at 17:00?"),
        ("Do 100 million people agree?", "Do 100,000,000 people agree?"),
        ("Is yoghurt the same colour?", "Is yogurt the same color?"),
        ("How do I purchase a ticket?", "How do I buy tickets?"),
        ("If it rains, what should I do?", "What should I do if it rains?"),
        ("Compare Kafka and RabbitMQ", "Compare RabbitMQ and Kafka"),
        (
            "Explain the difference between TCP and UDP",
            "What's the difference between UDP and TCP?",
        ),
        ("How do I remove duplicates?", "How do I remove duplciates?"),
        ("Is there a refund?", "“Is there a refund?”"),
        ("Would it be safe to eat eggs?", "Is it safe to eat eggs?"),
        ("Am I allowed to park?", "Can I park?"),
        ("Who wrote Hamlet?", "Who is the author of Hamlet?"),
    ],
)
def test_other_words_for_the_same_are_not(asked: str, answered: str) -> None:
    assert verdict(asked, answered) is None
    assert read_wording(asked).canonical == read_wording(answered).canonical


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("Translate to French: I am happy", "Translate to French: I was happy"),
        ("Translate to French: the dog", "Translate to French: a dog"),
        ("Fix this text:\nIts late", "Fix this text:\nIt's late"),
        ("How do you say please in Spanish?", "How do you say thank you in Spanish?"),
        ("What is the plural of child?", "What is the plural of children?"),
        ("What is a synonym for big?", "What is a synonym for large?"),
        ("How do you spell colour?", "How do you spell color?"),
        ("What is the difference between may and might?",
         "What is the difference between may and could?"),
    ],
)  # fmt: skip
def test_words_that_are_the_subject_are_taken_as_they_are_written(
    asked: str, answered: str
) -> None:
    assert verdict(asked, answered) is not None


def test_a_word_for_a_condition_is_no_question() -> None:
    assert (
        verdict("When I travel, what can I expense?", "What can I expense when I travel?") is None
    )
    assert verdict("When can I travel?", "What can I travel?") is Guard.QUESTION


def test_politeness_alone_is_still_a_text() -> None:
    assert read_wording("Thanks!").canonical
    assert verdict("Thanks!", "Hello!") is not None
    assert verdict("the", "a") is not None


def test_parts_of_long_texts_stay_where_they_are() -> None:
    story = "a man went home and " * 20
    asked, answered = f"in Spain {story}", f"{story} in Spain"

    assert verdict(f"{story} in Spain in May", f"{story} in Spain in May") is None
    assert verdict(asked, answered) is Guard.WORD_ORDER


def test_the_guards_that_clients_see_are_upper_case_words() -> None:
    assert {guard.value for guard in Guard} == {guard.name for guard in Guard}
