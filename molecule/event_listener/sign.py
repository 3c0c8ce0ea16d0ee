"""Post an event that an instance is unhealthy, signed: sign.py URL SECRET"""

import hashlib
import hmac
import ssl
import sys
import time
import urllib.request

url, secret = sys.argv[1:]
body = b'{"kind": "instance.unhealthy", "summary": "i-0123456789abcdef0 does not answer", "ids": ["i-0123456789abcdef0"]}'
moment = str(int(time.time()))
signed = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
headers = {"X-Spot-Timestamp": moment, "X-Spot-Signature": f"sha256={signed}"}
request = urllib.request.Request(url, data=body, headers=headers)
with urllib.request.urlopen(request, context=ssl._create_unverified_context()) as answer:
    print(answer.status)
