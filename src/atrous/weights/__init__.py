"""Weight files: named arrays written, and read from NumPy, safetensors, PyTorch and Caffe, none of which is trusted.

`files` has the public functions and tells the formats apart, `archive` is NumPy's .npz, `safetensors_file` the format
of that library, `torch_zip` PyTorch's .pth, `caffemodel` Caffe's; `dtypes` turns bytes into numbers, `errors` tells
what is wrong with a file.
"""
