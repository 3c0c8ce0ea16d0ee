"""Write files into a folder until there is another file, and note their checksums as sha256sum does: writer.py FOLDER STOP SUMS"""

import hashlib
import os
import sys
import time

folder, stop, sums = sys.argv[1:]
count = 0
with open(sums, "w", encoding="utf-8") as noted:
    while not os.path.exists(stop):
        count += 1
        path, data = os.path.join(folder, f"file-{count}"), os.urandom(50000)
        with open(path, "wb") as file:
            file.write(data)
        noted.write(f"{hashlib.sha256(data).hexdigest()}  {path}\n")
        noted.flush()
        time.sleep(0.1)
print(count)
