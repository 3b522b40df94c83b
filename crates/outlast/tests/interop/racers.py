"""Many clients on few keys, over healthy stores: nobody may see an error, and readers never anything but a whole
object that was written."""
import hashlib, random, threading, time

B = "load"
ROUNDS = 40
SIZES = [0, 10, 5000, 70_000]


def body_of(writer, round_):
    size = SIZES[round_ % len(SIZES)]
    head = f"{writer}/{round_}/".encode()
    return head + hashlib.sha256(head).hexdigest().encode() + random.Random(f"{writer}/{round_}").randbytes(size)


def written_by(data):
    writer, round_, _ = data.split(b"/", 2)
    return writer.decode(), int(round_)


def is_whole(data):
    return data == body_of(*written_by(data))


def etag_of(writer, round_):
    return f'"{hashlib.md5(body_of(writer, round_)).hexdigest()}"'


def run(work):
    """All at once; the first exception of any of them ends the test."""
    wrong = []

    def guarded(do):
        try:
            do()
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
    threads = [threading.Thread(target=guarded, args=(do,)) for do in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, f"{len(wrong)} clients saw errors: {wrong[:3]}"


def read(key):
    return s3.get_object(Bucket=B, Key=key)["Body"].read()


def read_if_there(key):
    try:
        return read(key)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchKey", error
        return None


def with_readers(work, reader, count=4):
    """Readers beside the work until it is over, each with a memory of its own. What they saw, all together."""
    over, seen = threading.Event(), []

    def looking():
        memory = {}
        while not over.is_set():
            seen.append(reader(memory))

    def working():
        try:
            work()
        finally:
            over.set()
    run([working] + [looking] * count)
    return seen


def in_order(memory):
    """A whole object that was written, and never an older one of a writer than was seen of it before: its own writes have an
    order that everybody may rely on."""
    data = read("one")
    assert is_whole(data), data[:60]
    name, round_ = written_by(data)
    assert memory.get(name, -1) <= round_, f"{name} had written {memory[name]}, and then {round_} was read"
    memory[name] = round_
    return name, round_


def delete_then_put():
    def whole_or_absent(memory):
        data = read_if_there("one")
        if data is None:
            return None
        assert is_whole(data), data[:60]
        round_ = written_by(data)[1]
        assert memory.get("round", -1) <= round_, f"{round_} was read after {memory['round']}"
        memory["round"] = round_
        return round_

    def work():
        for round_ in range(ROUNDS):
            s3.put_object(Bucket=B, Key="one", Body=body_of("one", round_))
            assert read("one") == body_of("one", round_), round_
            s3.delete_object(Bucket=B, Key="one")
            refused("NoSuchKey", lambda: s3.get_object(Bucket=B, Key="one"))
            refused("404", lambda: s3.head_object(Bucket=B, Key="one"))
            assert "Contents" not in s3.list_objects_v2(Bucket=B), round_
        s3.put_object(Bucket=B, Key="one", Body=body_of("one", ROUNDS))
    seen = with_readers(work, whole_or_absent, count=2)
    assert None in seen and len(set(seen)) > 3, f"the readers saw {set(seen)}"
    assert read("one") == body_of("one", ROUNDS)


def overwrites():
    def work():
        for round_ in range(2 * ROUNDS):
            s3.put_object(Bucket=B, Key="one", Body=body_of("one", round_))
            assert read("one") == body_of("one", round_), round_
            head = s3.head_object(Bucket=B, Key="one")
            assert head["ETag"] == etag_of("one", round_), (round_, head)
            assert head["ContentLength"] == len(body_of("one", round_))
    s3.put_object(Bucket=B, Key="one", Body=body_of("one", 0))
    seen = with_readers(work, in_order, count=2)
    assert len(set(seen)) > 3, f"the readers saw {set(seen)}"
    assert read("one") == body_of("one", 2 * ROUNDS - 1)


def sixteen_writers():
    rounds = ROUNDS // 4
    sizes = {etag_of(name, round_): len(body_of(name, round_))
             for name in ["first"] + [f"w{n}" for n in range(16)] for round_ in range(rounds)}

    def facts_of_one_write():
        head = s3.head_object(Bucket=B, Key="one")
        assert sizes.get(head["ETag"]) == head["ContentLength"], head
        listed = s3.list_objects_v2(Bucket=B).get("Contents", [])
        assert [(entry["Key"], sizes.get(entry["ETag"])) for entry in listed] == [("one", listed[0]["Size"])], listed

    def look(memory):
        facts_of_one_write()
        return in_order(memory)

    def writer(name):
        def write():
            for round_ in range(rounds):
                s3.put_object(Bucket=B, Key="one", Body=body_of(name, round_))
        return write
    s3.put_object(Bucket=B, Key="one", Body=body_of("first", 0))
    seen = with_readers(lambda: run([writer(f"w{number}") for number in range(16)]), look)
    assert len({name for name, _ in seen}) > 3, f"the readers saw {set(seen)}"
    # Each writer waits for one answer before its next write: the last of all is the last of its writer.
    last = read("one")
    assert is_whole(last) and written_by(last)[1] == rounds - 1, written_by(last)
