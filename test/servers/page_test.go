package servers

const introduction = `# Servers

What CargoShip does on S3 servers of several makes. ` + "`make test-servers`" + ` builds each server at the version below, starts it, runs every case
against it and writes this page. Objects are read back by another client and compared by SHA-256. Ceph RGW is not built: it runs where Debian's
packages ` + "`ceph-mon`" + `, ` + "`ceph-osd`" + ` and ` + "`radosgw`" + ` are installed, as a cluster of one monitor and one in-memory store on the loopback interface, and is
skipped elsewhere; the page then remains unchanged. ` + "`make test-servers SERVER=ceph`" + ` runs a single server, selected by the first word of its name.
Amazon S3 itself is missing, since a test cannot start it.

`

const conclusion = `
**Proof** is what makes a file count as stored: *CRC64NVME* and *CRC32C* are checksums that the server verifies, confirms and keeps; *MD5* is the
MD5 of each body, sent as Content-MD5 and compared with the ETag, for servers that confirm no checksum. All of them detect accidental damage.
[Decision 20](decisions/0020-a-digest-of-what-the-server-has-is-proof.md) compares them.

**Rejected** means that the run ends at once with an error that quotes the server.

If a server does not list multipart uploads, a run that was killed cannot be resumed and may leave an upload open: give the bucket a lifecycle
rule that aborts incomplete uploads, if the server supports such rules.

` + "`rclone serve s3`" + ` drops an upload if a part breaks off while it is passed on to the backend. A run that was killed at such a moment sends that file
again from the start.

Any other running server can be tested with
` + "`go test ./test/servers -args -endpoint http://HOST:PORT -access-key ID -secret-key SECRET`" + `. The test creates a bucket named ` + "`bucket`" + `.
`
