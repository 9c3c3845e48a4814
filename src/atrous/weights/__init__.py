"""Weight files: named arrays, read from the formats of NumPy, safetensors, PyTorch and Caffe, written in the first two.

No file is trusted. `files` has the public functions and recognises the format. `archive` is NumPy's .npz,
`safetensors_file` is .safetensors, `torch_zip` is PyTorch's .pth (read without PyTorch and without pickle), and
`caffemodel` is Caffe's format. `dtypes` turns bytes into numbers; `errors` has the error for all of them.

Which files fit
---------------
torchvision                  deeplabv3_resnet50_coco, _resnet101_coco (.pth): torchvision_deeplabv3_resnet50, _resnet101
kazuto1011/deeplab-pytorch   VOC and COCO-Stuff (.pth): deeplabv2_resnet101_aspp, which then needs align_corners=False
                             (`atrous segment --half-pixel`)
VainF/DeepLabV3Plus-Pytorch  ResNets at output stride 16 (.pth): vainf_deeplabv3plus_resnet50, _resnet101
DeepLab's authors            v1 and v2 (.caffemodel): deeplabv1_largefov, deeplabv2_vgg16_…, deeplabv2_resnet101_aspp
torchvision                  vgg16, resnet50, resnet101 (.pth): start networks of that depth with `from_classifier`

Networks and readers were checked against PyTorch with random weights; no released file was available.
"""
