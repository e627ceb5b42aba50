"""Makes the wheel of this package with Python's own library: `pip install DIR` needs neither network nor setuptools."""
import base64
import hashlib
import os
import zipfile

import package_name

NAME, VERSION, TAG = package_name.NAME, package_name.VERSION, package_name.TAG
INFO = "%s-%s.dist-info" % (NAME, VERSION)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    files = {"%s/%s" % (NAME, name): open(os.path.join(NAME, name), "rb").read()
             for name in sorted(os.listdir(NAME)) if os.path.isfile(os.path.join(NAME, name))}
    files[INFO + "/METADATA"] = ("Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (NAME, VERSION)).encode()
    files[INFO + "/WHEEL"] = ("Wheel-Version: 1.0\nGenerator: deq\nRoot-Is-Purelib: false\nTag: %s\n" % TAG).encode()
    rows = ["%s,sha256=%s,%d" % (name, base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode(),
                                 len(data)) for name, data in files.items()]
    files[INFO + "/RECORD"] = ("\n".join(rows + [INFO + "/RECORD,,"]) + "\n").encode()
    wheel = "%s-%s-%s.whl" % (NAME, VERSION, TAG)
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return wheel
