"""What one store holds under plain names, asked without Outlast: key -> SHA-256 and, where it says so, content type and user
metadata, as JSON.
argv: "disk" and a folder; or "s3", endpoint, access key, secret, region, bucket; or "gcs", endpoint, bucket."""
import hashlib, json, os, sys

OWN = ".outlast"
# Ours, and what another Outlast keeps of the one before it (`nested = true`).
STAMPS = {"outlast", "outlast-upper"}


def dress(kind, metadata):
    """Content type and user metadata, without our stamp."""
    return [kind, {name.lower(): value for name, value in metadata.items() if name.lower() not in STAMPS}]


def record_of(path, key, beside):
    """docs/formats/disk.md: an attribute of the file, or a file beside it where that has no room."""
    try:
        record = json.loads(os.getxattr(path, "user.outlast.copy"))
    except OSError:
        record = {"aside": True}
    return beside.get((key, os.stat(path).st_ino), {}) if record.get("aside") else record


def of_disk(folder):
    beside = {}
    for at, _, files in os.walk(os.path.join(folder, OWN, ".disk", "side")):
        for name in files:
            with open(os.path.join(at, name), "rb") as file:
                about = json.load(file)
                beside[about["key"], about["inode"]] = about["record"]
    for at, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != OWN]
        for name in files:
            path = os.path.join(at, name)
            with open(path, "rb") as file:
                key = os.path.relpath(path, folder)
                head = record_of(path, key, beside).get("head", {})
                yield key, file.read(), dress(head.get("content_type"), head.get("metadata", {}))


def of_s3(endpoint, access, secret, region, bucket):
    import boto3
    from botocore.config import Config
    s3 = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=access, aws_secret_access_key=secret,
                      region_name=region, config=Config(s3={"addressing_style": "path"}))
    if bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
        return
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            key = entry["Key"]
            if not key.startswith(OWN + "/"):
                got = s3.get_object(Bucket=bucket, Key=key)
                yield key, got["Body"].read(), dress(got["ContentType"], got["Metadata"])


def of_gcs(endpoint, bucket):
    from urllib.parse import quote, urlencode
    from urllib.request import urlopen
    at, token = f"{endpoint}/storage/v1/b/{bucket}/o", ""
    while token is not None:
        page = json.load(urlopen(f"{at}?{urlencode({'pageToken': token})}"))
        for entry in page.get("items", []):
            key = entry["name"]
            if not key.startswith(OWN + "/"):
                body = urlopen(f"{at}/{quote(key, safe='')}?alt=media").read()
                yield key, body, dress(entry.get("contentType"), entry.get("metadata", {}))
        token = page.get("nextPageToken") or None


held = {"disk": of_disk, "s3": of_s3, "gcs": of_gcs}[sys.argv[1]](*sys.argv[2:])
print(json.dumps({key: [hashlib.sha256(data).hexdigest(), dressed] for key, data, dressed in held}))
