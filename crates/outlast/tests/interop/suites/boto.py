import base64, hashlib, time, urllib.error, urllib.parse, urllib.request, zlib

B = "load"


def keys(**how):
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=B, **how).get("Contents", [])]


def checksums():
    body = bytes(range(256)) * 300
    # The default of this SDK: CRC32 in a trailer of a chunked body.
    default = s3.put_object(Bucket=B, Key="default", Body=body)
    crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    assert default["ChecksumCRC32"] == crc32, default
    assert default["ETag"] == f'"{hashlib.md5(body).hexdigest()}"', default
    for kind in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]:
        put = s3.put_object(Bucket=B, Key=kind, Body=body, ChecksumAlgorithm=kind)
        got = s3.get_object(Bucket=B, Key=kind, ChecksumMode="ENABLED")
        assert got["Body"].read() == body
        assert put[f"Checksum{kind}"] == got[f"Checksum{kind}"], (kind, put, got)
        head = s3.head_object(Bucket=B, Key=kind, ChecksumMode="ENABLED")
        assert head[f"Checksum{kind}"] == put[f"Checksum{kind}"]
    refused("BadDigest", lambda: s3.put_object(Bucket=B, Key="wrong", Body=body, ChecksumCRC32="AAAAAA=="))
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    refused("BadDigest", lambda: s3.put_object(Bucket=B, Key="wrong", Body=body, ContentMD5=wrong))
    refused("InvalidDigest", lambda: s3.put_object(Bucket=B, Key="wrong", Body=body, ContentMD5="x"))
    # A stream whose length is known only by its end.
    part = bytes(5 << 20)
    for kind, key in [("CRC64NVME", "parts-64"), ("SHA256", "parts-256"), ("CRC32", "parts-32")]:
        upload = s3.create_multipart_upload(Bucket=B, Key=key, ChecksumAlgorithm=kind)["UploadId"]
        listed = []
        for number, data in [(1, part), (2, b"end")]:
            answer = s3.upload_part(Bucket=B, Key=key, UploadId=upload, PartNumber=number, Body=data, ChecksumAlgorithm=kind)
            listed.append({"PartNumber": number, "ETag": answer["ETag"], f"Checksum{kind}": answer[f"Checksum{kind}"]})
        done = s3.complete_multipart_upload(Bucket=B, Key=key, UploadId=upload, MultipartUpload={"Parts": listed})
        assert done[f"Checksum{kind}"], done
        assert s3.get_object(Bucket=B, Key=key)["Body"].read() == part + b"end"
    assert "wrong" not in keys()


def conditions():
    put = lambda body, **how: s3.put_object(Bucket=B, Key="one", Body=body, **how)
    refused("NoSuchKey", lambda: put(b"0", IfMatch='"0"'))
    first = put(b"1", IfNoneMatch="*")["ETag"]
    refused("PreconditionFailed", lambda: put(b"2", IfNoneMatch="*"))
    refused("PreconditionFailed", lambda: put(b"2", IfMatch='"0"'))
    second = put(b"2", IfMatch=first)["ETag"]
    refused("PreconditionFailed", lambda: put(b"3", IfMatch=first))
    get = lambda **how: s3.get_object(Bucket=B, Key="one", **how)
    assert get(IfMatch=second)["Body"].read() == b"2"
    refused("PreconditionFailed", lambda: get(IfMatch=first))
    refused("304", lambda: get(IfNoneMatch=second))
    assert get(IfNoneMatch=first)["Body"].read() == b"2"
    modified = get()["LastModified"]
    refused("304", lambda: get(IfModifiedSince=modified))
    assert get(IfUnmodifiedSince=modified)["Body"].read() == b"2"
    copy = lambda **how: s3.copy_object(Bucket=B, Key="two", CopySource=f"{B}/one", **how)
    refused("PreconditionFailed", lambda: copy(CopySourceIfMatch=first))
    refused("PreconditionFailed", lambda: copy(CopySourceIfNoneMatch=second))
    copy(CopySourceIfMatch=second)
    s3.delete_object(Bucket=B, Key="two")
    refused("404", lambda: s3.head_object(Bucket=B, Key="two"))
    refused("NoSuchKey", lambda: s3.get_object(Bucket=B, Key="two"))


def copies():
    s3.put_object(Bucket=B, Key="a+b c/ü", Body=b"copied", ContentType="text/x-one", Metadata={"colour": "black"})
    s3.copy_object(Bucket=B, Key="kept", CopySource={"Bucket": B, "Key": "a+b c/ü"})
    head = s3.head_object(Bucket=B, Key="kept")
    assert (head["ContentType"], head["Metadata"]) == ("text/x-one", {"colour": "black"}), head
    s3.copy_object(Bucket=B, Key="kept", CopySource={"Bucket": B, "Key": "kept"}, MetadataDirective="REPLACE",
                   Metadata={"colour": "white"}, ContentType="text/x-two")
    head = s3.head_object(Bucket=B, Key="kept")
    assert (head["ContentType"], head["Metadata"]) == ("text/x-two", {"colour": "white"}), head
    refused("InvalidRequest", lambda: s3.copy_object(Bucket=B, Key="kept", CopySource={"Bucket": B, "Key": "kept"}))
    refused("NoSuchKey", lambda: s3.copy_object(Bucket=B, Key="x", CopySource={"Bucket": B, "Key": "never"}))
    upload = s3.create_multipart_upload(Bucket=B, Key="by-parts")["UploadId"]
    s3.put_object(Bucket=B, Key="large", Body=bytes(range(256)) * (6 << 12))
    listed = []
    for number, span in [(1, "bytes=0-5242879"), (2, "bytes=5242880-6291455")]:
        part = s3.upload_part_copy(Bucket=B, Key="by-parts", UploadId=upload, PartNumber=number,
                                   CopySource={"Bucket": B, "Key": "large"}, CopySourceRange=span)
        listed.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(Bucket=B, Key="by-parts", UploadId=upload, MultipartUpload={"Parts": listed})
    assert s3.get_object(Bucket=B, Key="by-parts")["Body"].read() == bytes(range(256)) * (6 << 12)
    for number in range(30):
        s3.put_object(Bucket=B, Key=f"many/{number:02}", Body=b"x")
    gone = [{"Key": f"many/{number:02}"} for number in range(28)] + [{"Key": "never"}]
    answer = s3.delete_objects(Bucket=B, Delete={"Objects": gone})
    assert len(answer["Deleted"]) == 29 and "Errors" not in answer, answer
    quiet = s3.delete_objects(Bucket=B, Delete={"Objects": [{"Key": "never"}], "Quiet": True})
    assert "Deleted" not in quiet, quiet
    assert keys(Prefix="many/") == ["many/28", "many/29"]


def listings():
    names = [f"page/{number:03}" for number in range(50)] + [
        "aa", "a/b", "a//c", "a///d", "photos/2025/x", "photos/2026/y", "photos.txt", "with space", "pl+us", "per%cent", "ü/日本"]
    for name in names:
        s3.put_object(Bucket=B, Key=name, Body=name.encode())
    names.sort(key=lambda name: name.encode())
    for how in [{}, {"MaxKeys": 7}, {"MaxKeys": 1, "Prefix": "a"}]:
        found, token = [], None
        while True:
            page = s3.list_objects_v2(Bucket=B, **how, **({"ContinuationToken": token} if token else {}))
            found += [(entry["Key"], entry["Size"]) for entry in page.get("Contents", [])]
            token = page.get("NextContinuationToken")
            assert page["IsTruncated"] == (token is not None), page
            if not token:
                break
        should = [(name, len(name.encode())) for name in names if name.startswith(how.get("Prefix", ""))]
        assert found == should, (how, found)
    page = s3.list_objects_v2(Bucket=B, Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["a/", "page/", "photos/", "ü/"], page["CommonPrefixes"]
    assert [e["Key"] for e in page["Contents"]] == ["aa", "per%cent", "photos.txt", "pl+us", "with space"], page["Contents"]
    page = s3.list_objects_v2(Bucket=B, Delimiter="/", Prefix="photos/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["photos/2025/", "photos/2026/"], page
    assert keys(StartAfter="photos/2026/y") == ["pl+us", "with space", "ü/日本"]
    found, marker = [], ""
    while True:
        page = s3.list_objects(Bucket=B, MaxKeys=9, Marker=marker, Delimiter="/")
        found += [e["Key"] for e in page.get("Contents", [])] + [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        if not page["IsTruncated"]:
            break
        marker = page["NextMarker"]
    assert sorted(found) == sorted(["aa", "a/", "page/", "per%cent", "photos.txt", "photos/", "pl+us", "with space", "ü/"]), found
    for name in names:
        assert s3.get_object(Bucket=B, Key=name)["Body"].read() == name.encode(), name
    refused("NoSuchBucket", lambda: s3.list_objects_v2(Bucket="never-made"))


def ranges():
    body = bytes(byte % 251 for byte in range(200_000))
    s3.put_object(Bucket=B, Key="r", Body=body, CacheControl="no-store", ContentEncoding="identity",
                  ContentDisposition="inline", ContentLanguage="de", Metadata={"one": "1", "two-part": "zwei"})
    s3.put_object(Bucket=B, Key="empty", Body=b"")
    get = lambda span, key="r": s3.get_object(Bucket=B, Key=key, Range=span)
    for span, first, end in [("bytes=0-0", 0, 1), ("bytes=65535-65536", 65535, 65537), ("bytes=131072-", 131072, 200_000),
                             ("bytes=-1", 199_999, 200_000), ("bytes=-999999", 0, 200_000), ("bytes=1-999999", 1, 200_000)]:
        answer = get(span)
        assert answer["Body"].read() == body[first:end], span
        assert answer["ContentRange"] == f"bytes {first}-{end - 1}/200000", answer["ContentRange"]
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    refused("InvalidRange", lambda: get("bytes=200000-"))
    refused("InvalidRange", lambda: get("bytes=0-0", "empty"))
    whole = s3.get_object(Bucket=B, Key="r")
    assert whole["Body"].read() == body
    assert (whole["CacheControl"], whole["ContentDisposition"], whole["ContentLanguage"]) == ("no-store", "inline", "de")
    assert whole["Metadata"] == {"one": "1", "two-part": "zwei"}, whole["Metadata"]
    other = s3.get_object(Bucket=B, Key="r", ResponseContentType="text/x-asked", ResponseCacheControl="max-age=1")
    assert (other["ContentType"], other["CacheControl"]) == ("text/x-asked", "max-age=1")
    refused("MetadataTooLarge", lambda: s3.put_object(Bucket=B, Key="m", Body=b"", Metadata={"long": "x" * 2100}))
    refused("KeyTooLongError", lambda: s3.put_object(Bucket=B, Key="k" * 1025, Body=b""))
    s3.put_object(Bucket=B, Key="k" * 200, Body=b"")


def presigned():
    def ask(url, method="GET", data=None, headers={}):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    sign = lambda method, expires=60: s3.generate_presigned_url(method, {"Bucket": B, "Key": "p"}, ExpiresIn=expires)
    status, said = ask(sign("put_object"), "PUT", b"by url", {"Content-Type": "text/plain"})
    assert status == 200, said
    assert ask(sign("get_object")) == (200, b"by url")
    status, said = ask(sign("get_object"), "PUT", b"other")
    assert (status, b"SignatureDoesNotMatch" in said) == (403, True), said
    status, said = ask(sign("get_object", 8 * 24 * 3600))
    assert status in (400, 403), said
    short = sign("get_object", 1)
    signed_at = time.time()
    while time.time() < signed_at + 2.5:
        status, said = ask(short)
        if status == 403:
            break
    assert (status, b"AccessDenied" in said) == (403, True), (status, said)
    # A form of a browser.
    form = s3.generate_presigned_post(B, "form", ExpiresIn=60)
    edge = "edge-of-the-form"
    fields = "".join(f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                     for name, value in form["fields"].items())
    body = f'{fields}--{edge}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nform bytes\r\n--{edge}--\r\n'
    status, said = ask(form["url"], "POST", body.encode(), {"Content-Type": f"multipart/form-data; boundary={edge}"})
    assert status in (400, 403, 405, 501) and b"<Code>" in said, (status, said)
    assert keys() == ["p"]
