"""SQS: visibility by the sandbox's clock, dead letters, batches, and long polls that hold nobody up."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def fill(aws: Any, url: str, count: int, first: int = 0) -> None:
    for begin in range(first, first + count, 10):
        entries = [{"Id": str(n), "MessageBody": json.dumps(n)} for n in range(begin, min(begin + 10, first + count))]
        aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)


def take(aws: Any, url: str, most: int = 10, **more: Any) -> list[dict[str, Any]]:
    return aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=most, **more).get("Messages", [])


def counts(aws: Any, url: str) -> tuple[int, int, int]:
    found = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
    return tuple(int(found[name]) for name in names)


def test_a_message_is_hidden_until_its_time_by_the_sandboxs_clock(aws: Any) -> None:
    url = aws.queue("q", VisibilityTimeout="60")
    fill(aws, url, 3)
    first = take(aws, url, 1)[0]
    assert counts(aws, url) == (2, 1, 0)
    aws.advance(59)
    assert [m["Body"] for m in take(aws, url)] == ["1", "2"]
    aws.advance(2)
    (again,) = take(aws, url, AttributeNames=["All"])
    assert (again["MessageId"], again["Attributes"]["ApproximateReceiveCount"]) == (first["MessageId"], "2")
    assert again["ReceiptHandle"] != first["ReceiptHandle"]
    assert counts(aws, url) == (0, 3, 0)


def test_an_older_handle_deletes_nothing_and_an_unknown_one_is_refused(aws: Any, refused: Any) -> None:
    url = aws.queue("q", VisibilityTimeout="30")
    fill(aws, url, 1)
    old = take(aws, url)[0]["ReceiptHandle"]
    aws.advance(31)
    new = take(aws, url)[0]["ReceiptHandle"]
    aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=old)
    assert counts(aws, url) == (0, 1, 0)
    for _twice in range(2):
        aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=new)
    assert counts(aws, url) == (0, 0, 0)
    assert refused(aws.sqs.delete_message, QueueUrl=url, ReceiptHandle="nonsense")[0] == "ReceiptHandleIsInvalid"


def test_visibility_is_extended_given_up_and_refused_in_batches(aws: Any, refused: Any) -> None:
    url = aws.queue("q", VisibilityTimeout="30")
    fill(aws, url, 3)
    long, short, gone = take(aws, url)
    aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=gone["ReceiptHandle"])
    answer = aws.sqs.change_message_visibility_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "long", "ReceiptHandle": long["ReceiptHandle"], "VisibilityTimeout": 300},
            {"Id": "short", "ReceiptHandle": short["ReceiptHandle"], "VisibilityTimeout": 0},
            {"Id": "gone", "ReceiptHandle": gone["ReceiptHandle"], "VisibilityTimeout": 60},
            {"Id": "late", "ReceiptHandle": long["ReceiptHandle"], "VisibilityTimeout": 43201},
        ],
    )
    assert [one["Id"] for one in answer["Successful"]] == ["long", "short"]
    failed = {one["Id"]: one for one in answer["Failed"]}
    assert failed.keys() == {"gone", "late"} and all(one["Code"] == "InvalidParameterValue" for one in failed.values())
    assert "does not exist or is not available" in failed["gone"]["Message"]
    assert [m["Body"] for m in take(aws, url, VisibilityTimeout=10)] == ["1"]
    aws.advance(299)
    change = {"QueueUrl": url, "ReceiptHandle": short["ReceiptHandle"], "VisibilityTimeout": 5}
    assert refused(aws.sqs.change_message_visibility, **change)[0].endswith("MessageNotInflight")
    assert [m["Body"] for m in take(aws, url)] == ["1"]
    aws.advance(2)
    assert [m["Body"] for m in take(aws, url)] == ["0"]


def test_batches_say_what_of_them_failed(aws: Any, refused: Any) -> None:
    url = aws.queue("q")
    fill(aws, url, 2)
    one, two = (m["ReceiptHandle"] for m in take(aws, url))
    entries = [{"Id": "a", "ReceiptHandle": one}, {"Id": "b", "ReceiptHandle": "no"}, {"Id": "c", "ReceiptHandle": two}]
    answer = aws.sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    assert [e["Id"] for e in answer["Successful"]] == ["a", "c"]
    assert [(e["Id"], e["Code"]) for e in answer["Failed"]] == [("b", "ReceiptHandleIsInvalid")]
    assert counts(aws, url) == (0, 0, 0)
    twice = [{"Id": "a", "ReceiptHandle": one}] * 2
    assert refused(aws.sqs.delete_message_batch, QueueUrl=url, Entries=twice)[0].endswith("BatchEntryIdsNotDistinct")
    many = [{"Id": str(n), "ReceiptHandle": one} for n in range(11)]
    assert refused(aws.sqs.delete_message_batch, QueueUrl=url, Entries=many)[0].endswith("TooManyEntriesInBatchRequest")
    assert refused(aws.sqs.delete_message_batch, QueueUrl=url, Entries=[])[0].endswith("EmptyBatchRequest")


def test_what_was_received_too_often_goes_to_the_dead_letters(aws: Any) -> None:
    dead = aws.queue("dead")
    redrive = json.dumps({"deadLetterTargetArn": aws.queue_arn("dead"), "maxReceiveCount": 2})
    url = aws.queue("q", VisibilityTimeout="10", RedrivePolicy=redrive)
    fill(aws, url, 1)
    for _time in range(2):
        assert len(take(aws, url)) == 1
        aws.advance(11)
    assert take(aws, url) == []
    assert counts(aws, url) == (0, 0, 0)
    (letter,) = take(aws, dead, AttributeNames=["All"])
    assert (letter["Body"], letter["Attributes"]["DeadLetterQueueSourceArn"]) == ("0", aws.queue_arn("q"))


def test_delays_and_retention_follow_the_clock(aws: Any) -> None:
    url = aws.queue("q", MessageRetentionPeriod="600")
    aws.sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=30)
    assert (take(aws, url), counts(aws, url)) == ([], (0, 0, 1))
    aws.advance(31)
    assert [m["Body"] for m in take(aws, url, VisibilityTimeout=0)] == ["later"]
    aws.advance(570)
    assert (take(aws, url), counts(aws, url)) == ([], (0, 0, 0))


def test_a_long_poll_ends_with_the_first_message_and_holds_nobody_up(aws: Any) -> None:
    url = aws.queue("q")
    with ThreadPoolExecutor(8) as pool:
        begun = time.monotonic()
        polls = [pool.submit(take, aws, url, 1, WaitTimeSeconds=20) for _number in range(6)]
        time.sleep(0.5)
        assert not any(poll.done() for poll in polls)
        began_call = time.monotonic()
        fill(aws, url, 6)
        assert time.monotonic() - began_call < 2
        found = sorted(m["Body"] for poll in polls for m in poll.result())
        assert found == [str(n) for n in range(6)]
        assert time.monotonic() - begun < 10


def test_a_long_poll_sees_a_message_that_becomes_visible_by_a_step_of_the_clock(aws: Any) -> None:
    url = aws.queue("q", VisibilityTimeout="3600")
    fill(aws, url, 1)
    take(aws, url)
    got: list[Any] = []
    poll = threading.Thread(target=lambda: got.append(take(aws, url, WaitTimeSeconds=20)))
    poll.start()
    time.sleep(0.3)
    aws.advance(3601)
    poll.join(5)
    assert not poll.is_alive() and [m["Body"] for m in got[0]] == ["0"]


def test_a_reset_ends_the_long_polls(aws: Any) -> None:
    url = aws.queue("q")
    poll = threading.Thread(target=lambda: take(aws, url, WaitTimeSeconds=20))
    poll.start()
    time.sleep(0.3)
    aws.sandbox.post("/sandbox/reset")
    poll.join(5)
    assert not poll.is_alive()


def test_a_fifo_queue_keeps_order_in_groups_and_drops_doubles(aws: Any) -> None:
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": "10"}
    url = aws.sqs.create_queue(QueueName="q.fifo", Attributes=attributes)["QueueUrl"]
    for body, group in (("1", "a"), ("2", "a"), ("3", "b"), ("1", "a")):
        aws.sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group)
    assert [m["Body"] for m in take(aws, url, 1)] == ["1"]
    assert [m["Body"] for m in take(aws, url)] == ["3"]
    aws.advance(11)
    assert [m["Body"] for m in take(aws, url)] == ["1", "2", "3"]


def test_thousands_of_messages_are_counted_and_come_in_order(aws: Any) -> None:
    url = aws.queue("q", VisibilityTimeout="3600")
    fill(aws, url, 2000)
    assert counts(aws, url) == (2000, 0, 0)
    drained: list[str] = []
    while batch := take(aws, url):
        drained += [m["Body"] for m in batch]
        entries = [{"Id": m["MessageId"], "ReceiptHandle": m["ReceiptHandle"]} for m in batch]
        aws.sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    assert drained == [str(n) for n in range(2000)]
    assert counts(aws, url) == (0, 0, 0)
