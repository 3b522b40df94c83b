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


def is_whole(data):
    writer, round_, _ = data.split(b"/", 2)
    return data == body_of(writer.decode(), int(round_))


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


def delete_then_put():
    for round_ in range(ROUNDS):
        s3.put_object(Bucket=B, Key="one", Body=body_of("one", round_))
        assert read("one") == body_of("one", round_), round_
        s3.delete_object(Bucket=B, Key="one")
        refused("NoSuchKey", lambda: s3.get_object(Bucket=B, Key="one"))
        assert "Contents" not in s3.list_objects_v2(Bucket=B), round_
    s3.put_object(Bucket=B, Key="one", Body=b"last")


def overwrites():
    for round_ in range(2 * ROUNDS):
        s3.put_object(Bucket=B, Key="one", Body=body_of("one", round_))
        assert read("one") == body_of("one", round_), round_
        head = s3.head_object(Bucket=B, Key="one")
        assert head["ETag"] == f'"{hashlib.md5(body_of("one", round_)).hexdigest()}"', (round_, head)
        assert head["ContentLength"] == len(body_of("one", round_))


def sixteen_writers():
    def writer(name):
        def write():
            for round_ in range(ROUNDS // 4):
                s3.put_object(Bucket=B, Key="one", Body=body_of(name, round_))
        return write
    run([writer(f"w{number}") for number in range(16)])
    assert is_whole(read("one"))


def readers_beside_writers():
    s3.put_object(Bucket=B, Key="one", Body=body_of("first", 1))
    over = threading.Event()
    seen = []

    def writer(name):
        def write():
            for round_ in range(ROUNDS // 2):
                s3.put_object(Bucket=B, Key="one", Body=body_of(name, round_))
        return write

    def reader():
        while not over.is_set():
            data = read("one")
            assert is_whole(data), data[:60]
            seen.append(len(data))

    def writers():
        try:
            run([writer(f"w{number}") for number in range(4)])
        finally:
            over.set()
    run([writers] + [reader] * 4)
    assert len(seen) > ROUNDS, f"only {len(seen)} reads beside the writers"
