"""Copies files with the S3 client of the AWS Common Runtime, to measure ours against it.

put ENDPOINT BUCKET/PREFIX DIR sends all files below DIR; get does it the other way, for the
keys below the prefix that standard input names. The keys are taken from the environment as AWS tools do.
It needs Python and awscrt (Debian: python3-awscrt), and a server at the port of its scheme,
80 or 443, since earlier versions know no other.
"""

import os
import sys
from urllib.parse import urlsplit

from awscrt import auth, http, io, s3

PART_SIZE = 8 << 20
GIGABITS = 100.0  # what the client may take for the throughput of the path


def client(endpoint):
    group = io.EventLoopGroup()
    bootstrap = io.ClientBootstrap(group, io.DefaultHostResolver(group))
    keys = auth.AwsCredentialsProvider.new_static(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    options = {"tls_mode": s3.S3RequestTlsMode.DISABLED}
    if endpoint.scheme == "https":
        tls = io.TlsContextOptions()
        tls.override_default_trust_store_from_path(None, os.environ["AWS_CA_BUNDLE"])
        connection = io.ClientTlsContext(tls).new_connection_options()
        connection.set_server_name(endpoint.hostname)
        options = {"tls_mode": s3.S3RequestTlsMode.ENABLED, "tls_connection_options": connection}
    return s3.S3Client(bootstrap=bootstrap, region=os.environ["AWS_REGION"], credential_provider=keys, part_size=PART_SIZE,
                       throughput_target_gbps=GIGABITS, **options)


def put(s3_client, host, where, directory):
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            headers = http.HttpHeaders([("host", host), ("content-length", str(os.stat(path).st_size))])
            request = http.HttpRequest("PUT", f"/{where}/{os.path.relpath(path, directory)}", headers)
            yield s3_client.make_request(request=request, type=s3.S3RequestType.PUT_OBJECT, send_filepath=path)


def get(s3_client, host, where, directory):
    for key in sys.stdin.read().split():
        path = os.path.join(directory, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        request = http.HttpRequest("GET", f"/{where}/{key}", http.HttpHeaders([("host", host)]))
        yield s3_client.make_request(request=request, type=s3.S3RequestType.GET_OBJECT, recv_filepath=path)


def main():
    operation, endpoint, where, directory = sys.argv[1:]
    endpoint = urlsplit(endpoint)
    move = {"put": put, "get": get}[operation]
    for request in list(move(client(endpoint), endpoint.hostname, where, directory)):
        request.finished_future.result()


if __name__ == "__main__":
    main()
