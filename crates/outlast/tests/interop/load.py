"""A mixed load through boto3 with its retries off: checks every byte, type and metadata, and tells the first error, the
slowest first byte and the longest pause. Knows afterwards what must be there. argv: endpoint, access key, secret, bucket, seed.

Each line on stdout is one JSON object; the last one is the report. A line on stdin ends it."""
import hashlib, json, multiprocessing, os, random, sys, threading, time
import boto3
from botocore.config import Config

ENDPOINT, ACCESS, SECRET, BUCKET, SEED = sys.argv[1:6]
MIXERS = 3
KEYS_EACH = 12
PIECE = 64 * 1024
FILM = 6 * 1024 * 1024  # streamed again and again, for about two seconds each: a fault falls into its middle
FILM_PIECE_SECONDS = 2.0 / (FILM / PIECE)
PART = 5 * 1024 * 1024
# A client thinks, too. Without these the test would measure how fast this machine can hash.
THINK = 0.01
THINK_BETWEEN_UPLOADS = 0.5

s3 = boto3.client(
    "s3", endpoint_url=ENDPOINT, aws_access_key_id=ACCESS, aws_secret_access_key=SECRET, region_name="us-east-1",
    config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=15,
                  max_pool_connections=32))
ending = threading.Event()
lock = threading.Lock()
TYPES = ["text/plain", "image/jpeg", "application/x-made-up; charset=utf-8", "application/octet-stream"]
report = {"ops": {}, "errors": [], "first_byte": {}, "pause": {}, "slowdown": 1.0, "bytes": 0}
truth = {}
begun = time.monotonic()


def slowest(table, op, seconds):
    with lock:
        known = report[table].get(op)
        if known is None or seconds > known["s"]:
            report[table][op] = {"s": round(seconds, 3), "at": round(time.monotonic() - begun, 2)}


def done(op, size=0):
    with lock:
        report["ops"][op] = report["ops"].get(op, 0) + 1
        report["bytes"] += size


def wrong(op, key, why):
    with lock:
        if len(report["errors"]) < 20:
            report["errors"].append({"op": op, "key": key, "why": str(why)[:600], "at": round(time.monotonic() - begun, 2)})


def timed(op, call, table="pause"):
    """What changes something answers once, so its whole time is one pause. HEAD and LIST are reads: to their first byte."""
    start = time.monotonic()
    try:
        return call()
    finally:
        slowest(table, op, time.monotonic() - start)


def dress_of(data):
    """Content-Type and metadata that follow from the bytes: with other bytes go others."""
    sum_ = hashlib.sha256(data).hexdigest()
    return {"ContentType": TYPES[int(sum_[0], 16) % len(TYPES)], "Metadata": {"length": str(len(data)), "sum": sum_}}


def judge_dress(op, key, answer, data):
    for name, should in dress_of(data).items():
        if answer.get(name) != should:
            wrong(op, key, f"WRONG HEADERS: {name} is {answer.get(name)} and not {should}")


def read(op, key, expected, at_leisure=0.0, whole=None, **how):
    """`whole`: of a part of it, all of its bytes."""
    start = last = time.monotonic()
    answer = s3.get_object(Bucket=BUCKET, Key=key, **how)
    body = answer["Body"]
    got, hashed = 0, hashlib.sha256()
    while True:
        piece = body.read(PIECE)
        now = time.monotonic()
        if got == 0:
            slowest("first_byte", op, now - start)
        slowest("pause", op, now - last)
        if not piece:
            break
        got += len(piece)
        hashed.update(piece)
        if at_leisure:
            time.sleep(at_leisure)
        last = time.monotonic()
    if got != len(expected) or hashed.digest() != hashlib.sha256(expected).digest():
        wrong(op, key, f"WRONG BYTES: {got} read, {len(expected)} expected")
    judge_dress(op, key, answer, expected if whole is None else whole)
    done(op, got)


def put(key, data):
    dress = dress_of(data)
    timed("put", lambda: s3.put_object(Bucket=BUCKET, Key=key, Body=data, **dress))
    truth[key] = data
    done("put", len(data))


def parts(key, data):
    dress = dress_of(data)
    upload = timed("create", lambda: s3.create_multipart_upload(Bucket=BUCKET, Key=key, **dress))["UploadId"]
    listed = []
    for number, at in enumerate(range(0, len(data), PART), 1):
        part = data[at:at + PART]
        answer = timed("part", lambda: s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=part))
        listed.append({"PartNumber": number, "ETag": answer["ETag"]})
    timed("complete", lambda: s3.complete_multipart_upload(
        Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": listed}))
    truth[key] = data
    done("upload", len(data))


def one(mine, key, luck):
    known = truth.get(key)
    op = mine.choices(["put", "get", "range", "head", "delete", "list", "copy"], [40, 26, 10, 6, 8, 5, 5])[0]
    if op == "put" or known is None and op != "list":
        put(key, mine.randbytes(mine.choice([0, 1, 700, 4096, 65536, 65537, 300_000])))
    elif op == "get":
        read("get", key, known)
    elif op == "range" and len(known) > 1:
        first = mine.randrange(len(known))
        last = mine.randrange(first, len(known))
        read("range", key, known[first:last + 1], whole=known, Range=f"bytes={first}-{last}")
    elif op == "head":
        head = timed("head", lambda: s3.head_object(Bucket=BUCKET, Key=key), "first_byte")
        if head["ContentLength"] != len(known):
            wrong(op, key, f"WRONG SIZE {head['ContentLength']} for {len(known)}")
        judge_dress(op, key, head, known)
        done(op)
    elif op == "delete":
        timed(op, lambda: s3.delete_object(Bucket=BUCKET, Key=key))
        del truth[key]
        done(op)
    elif op == "list":
        page = timed(op, lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix=luck), "first_byte")
        found = {entry["Key"]: entry["Size"] for entry in page.get("Contents", [])}
        should = {name: len(data) for name, data in list(truth.items()) if name.startswith(luck)}
        if found != should:
            wrong(op, luck, f"WRONG LIST: {sorted(found.items() ^ should.items())[:5]}")
        done(op)
    elif op == "copy":
        target = key + "-copy"
        timed(op, lambda: s3.copy_object(Bucket=BUCKET, Key=target, CopySource={"Bucket": BUCKET, "Key": key}))
        truth[target] = known
        done(op)


def guarded(name, step, think):
    while not ending.wait(think):
        try:
            step()
        except Exception as error:
            wrong(name, "", f"{type(error).__name__}: {error}")


def mixer(number):
    mine = random.Random(f"{SEED}-{number}")
    prefix = f"mix/{number}/"

    def step():
        key = f"{prefix}{mine.randrange(KEYS_EACH):02}"
        try:
            one(mine, key, prefix)
        except Exception as error:
            wrong("mix", key, f"{type(error).__name__}: {error}")
            # Whatever became of it, the next write of this key decides.
            truth.pop(key, None)
    guarded("mix", step, THINK)


def uploader():
    mine = random.Random(f"{SEED}-up")
    data = mine.randbytes(PART + 123_456)
    guarded("upload", lambda: parts(f"parts/{mine.randrange(2)}", data[mine.randrange(1000):]), THINK_BETWEEN_UPLOADS)


def streamer():
    guarded("film", lambda: read("film", "film", truth["film"], FILM_PIECE_SECONDS), THINK)


def machine(wall, processor):
    """In a process of its own: how long a little work takes, and how much of it was work. The rest was waiting for a
    processor, which is nobody's pause."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.1)
        began, used = time.monotonic(), time.process_time()
        hashlib.sha256(bytes(8 << 20)).digest()
        wall.value += time.monotonic() - began
        processor.value += time.process_time() - used


def tell():
    while not ending.wait(0.1):
        with lock:
            count = sum(report["ops"].values())
            print(json.dumps({"ops": count, "films": report["ops"].get("film", 0),
                              "uploads": report["ops"].get("upload", 0), "errors": report["errors"]}), flush=True)


def main():
    wall, processor = multiprocessing.Value("d", 0.0), multiprocessing.Value("d", 0.0)
    beside = multiprocessing.Process(target=machine, args=(wall, processor), daemon=True)
    beside.start()
    put("film", random.Random(SEED).randbytes(FILM))
    work = [(mixer, (n,)) for n in range(MIXERS)] + [(uploader, ()), (streamer, ()), (tell, ())]
    threads = [threading.Thread(target=do, args=with_) for do, with_ in work]
    for thread in threads:
        thread.start()
    sys.stdin.readline()
    ending.set()
    for thread in threads:
        thread.join()
    report["slowdown"] = round(wall.value / processor.value, 2) if processor.value else 1.0
    for key, data in truth.items():
        try:
            read("last", key, data)
        except Exception as error:
            wrong("last", key, f"{type(error).__name__}: {error}")
    report["dress"] = {key: list(dress_of(data).values()) for key, data in truth.items()}
    report["keys"] = {key: hashlib.sha256(data).hexdigest() for key, data in truth.items()}
    print(json.dumps(report), flush=True)


main()
