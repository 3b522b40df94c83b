import sys
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client(
    "s3", endpoint_url=sys.argv[1], aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3],
    region_name="us-east-1",
    # For presigned URLs boto3 still takes V2 where it isn't told.
    config=Config(signature_version="s3v4", retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, max_pool_connections=64))


def refused(code, call):
    """The call is answered with this error code."""
    try:
        call()
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found == code, f"{found} where {code} was due: {error}"
        return error.response
    raise AssertionError(f"{code} was due, and it succeeded")
