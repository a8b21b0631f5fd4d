package servers

const introduction = `# Servers

What CargoShip does on S3 servers of several makes. ` + "`make test-servers`" + ` builds each server at the version below, starts it,
runs every case against it and writes this page; objects are read back by another client and compared by SHA-256. Amazon S3
itself is not here, since it cannot be started by a test.

`

const conclusion = `
**Proof** is what makes a file count: *CRC64NVME* and *CRC32C* are checksums that the server verifies, confirms and keeps;
*MD5* is that of each body, sent as Content-MD5 and compared with the ETag, for servers that confirm no checksum. All of them
find any damage by accident. [Decision 20](decisions/0020-a-digest-of-what-the-server-has-is-proof.md) says what each is worth.

**Refused** means that the run ends at once with a sentence that has the server's words.

Where a server lists no multipart uploads, a run that was killed cannot be resumed and may leave an upload open: give the
bucket a lifecycle rule that aborts incomplete uploads, if the server has such rules.

Any other server that runs already, such as a Ceph RGW of Debian's packages ` + "`radosgw`, `ceph-mon`, `ceph-mgr` and `ceph-osd`" + `,
is put to the same cases by ` + "`go test ./test/servers -args -endpoint http://HOST:PORT -access-key ID -secret-key SECRET`" + `, in a
bucket named ` + "`bucket`" + `, which is made for it.
`
