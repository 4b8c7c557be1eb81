"""Which follow-ups mean the same without the turns before them."""

from __future__ import annotations

import pytest

from cache.text_rules import stands_alone

STANDS_ALONE = """
What is the capital of France?
Thanks! What is the boiling point of water?
How do I install Python and use it for data science?
Is it safe to eat raw eggs?
How long does it take to boil an egg?
Are there any snakes in Ireland?
Write a function that sorts a list of integers
Prove that the square root of two is irrational
My dog ate chocolate, is he in danger?
What is the difference between TCP and UDP?
Who wrote Hamlet?
Define recursion in one sentence
Why does bread rise in the oven?
In Python, how do I reverse a string?
What is the population of Canada?
How many calories are in an apple?
What if the sun disappeared tomorrow?
Explain the second law of thermodynamics
Write a poem about autumn leaves
Translate this sentence into Spanish: The weather is lovely
How can I use butter instead of oil in brownies?
Now explain quantum entanglement to a child
Who was the first man on the moon?
What does the error "undefined is not a function" mean?
Compare cats and dogs and tell me which of them live longer
What is the answer to life, the universe and everything?
How do I make a list of all files in a folder?
Which planet is closest to the sun?
What are the side effects of ibuprofen?
Is water wet?
List three rivers in Germany
Convert 10 miles to kilometres
Why is the sky blue?
Can cats eat cheese?
How do vaccines work?
Great, how do I bake sourdough bread?
Tell me about the history of Rome
What is DNS?
Summarize the plot of Moby Dick
Is there a way to undo a git commit?
If a train leaves at noon, when does it arrive after three hours?
What is the best way to learn guitar?
Who is also known as the king of pop?
Give me ten names for a bakery
Describe the function of the liver
How does photosynthesis work in desert plants?
Should I learn Rust or Go?
What are the pros and cons of remote work?
Explain how a car engine turns fuel into motion
What do pandas eat?
Suggest a birthday gift for a ten year old
Why do some people sneeze when they look at the sun?
Solve the equation 3x + 5 = 20
Is it legal to record a phone call in Germany?
Can I take ibuprofen with alcohol?
What are the advantages of solar energy?
Who painted the Mona Lisa?
How do I write a cover letter for a nurse?
I have a rash on one arm, is it dangerous?
When did the Roman Empire fall?
What is the recipe for carbonara?
Write a SQL query that returns the top ten customers by revenue
What happens if you mix bleach and vinegar?
Explain gradient descent like I am five years old
Hi, how do I export data to CSV?
What does "carpe diem" mean?
""".strip().splitlines()
POINTS_BACK = """
How old is he?
And in Rome?
What about Germany?
How about tomorrow?
Why is that?
Can you explain this in more detail?
Make it shorter
Make that more formal please
What does it mean?
Who are they?
Where was she born?
the second option
The former, I think
What is the difference?
Which one is cheaper?
in French
for two people
With oat milk instead
Yes, book the flight to Rome
No, the blue car
So how do I do that?
Then what happens?
What happens then?
How many calories?
How long exactly?
Which is better?
What else should I know?
Do you have any other ideas?
Give me another example
Give me three more examples
Can you also add error handling?
Does this work on Windows?
Explain step two
What did you mean by latency?
Your last answer was wrong
Translate that to Spanish
Translate it into German
Rewrite the paragraph
Shorten the text
How much does it cost?
Is it dangerous?
Is it true for dogs too?
What is his most famous book?
When did they break up?
How far is it from Berlin?
Are those the same thing?
What was her first film?
Try again with a different tone
Do the same for Python
Can I freeze them?
How do I fix it?
And why does bread rise?
But isn't it expensive?
Because I am vegan
What are its side effects?
How do you get there?
Was there a sequel to that film?
What about the kids?
Explain it like I'm five
more formal please
Say the above in one sentence
Thanks, and how old is he?
How so?
Why not?
Tell me more about him
What are the disadvantages?
Which of these is the healthiest?
Can you give an example of that?
How would one do that in Java?
What did Einstein say about it?
Is the first one better?
Use a loop instead
Add comments to the code
Who directed it?
What if I don't have eggs?
Can you say that differently?
cheaper ones please
What should I do next then?
In that case, what would you recommend?
Now do it in C++
Okay, but is this allowed?
Could you rephrase your answer?
Is that all?
Give me five more
Which would you choose?
Only the first three
Is there a cheaper alternative?
OK now add a unit test
What were the consequences?
Put it in a table
It still throws an error
Remove the second paragraph
I don't understand the last part
yes
👍
""".strip().splitlines()


@pytest.mark.parametrize("text", STANDS_ALONE)
def test_a_whole_question_stands_alone(text: str) -> None:
    """It means the same whatever was said before."""
    assert stands_alone(text)


@pytest.mark.parametrize("text", POINTS_BACK)
def test_what_points_back_does_not_stand_alone(text: str) -> None:
    """Its pronoun, its opening word or its missing half is found in the turns before."""
    assert not stands_alone(text)


def test_what_a_message_brings_along_needs_no_earlier_turn() -> None:
    """What "this" means may follow: a text behind a colon, on the next line, or in quotes."""
    assert stands_alone("Fix this code:\nfor i in range(10) print(i)")
    assert stands_alone('What is wrong with this sentence, "He go to school every day"?')
    assert not stands_alone("Fix this code")
    assert not stands_alone("What is wrong with this sentence?")


def test_the_rule_is_linear_in_the_text() -> None:
    """A long message of nothing but pronouns, punctuation or line ends is read as any other."""
    for piece in ("it ", "?", "\n", ": ", '"', "that ", "okay, ", "a"):
        assert stands_alone(f"cats and dogs, {piece * 60_000}") in (True, False)
