"""What one store holds under plain names, asked without Outlast: key -> SHA-256, as JSON.
argv: "disk" and a folder; or "s3", endpoint, access key, secret, region, bucket; or "gcs", endpoint, bucket."""
import hashlib, json, os, sys

OWN = ".outlast"


def of_disk(folder):
    for at, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != OWN]
        for name in files:
            path = os.path.join(at, name)
            with open(path, "rb") as file:
                yield os.path.relpath(path, folder), file.read()


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
                yield key, s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def of_gcs(endpoint, bucket):
    from urllib.parse import quote, urlencode
    from urllib.request import urlopen
    at, token = f"{endpoint}/storage/v1/b/{bucket}/o", ""
    while token is not None:
        page = json.load(urlopen(f"{at}?{urlencode({'pageToken': token})}"))
        for entry in page.get("items", []):
            key = entry["name"]
            if not key.startswith(OWN + "/"):
                yield key, urlopen(f"{at}/{quote(key, safe='')}?alt=media").read()
        token = page.get("nextPageToken") or None


held = {"disk": of_disk, "s3": of_s3, "gcs": of_gcs}[sys.argv[1]](*sys.argv[2:])
print(json.dumps({key: hashlib.sha256(data).hexdigest() for key, data in held}))
