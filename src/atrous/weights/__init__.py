"""Weight files: named arrays, read from the formats of NumPy, safetensors, PyTorch and Caffe, written in the first two.

No file is trusted. `files` has the public functions and recognises the format. `archive` is NumPy's .npz,
`safetensors_file` is .safetensors, `torch_zip` is PyTorch's .pth (read without PyTorch and without pickle), and
`caffemodel` is Caffe's format. `dtypes` turns bytes into numbers; `errors` has the error for all of them.

Which files fit
---------------
torchvision                  deeplabv3_resnet50_coco, _resnet101_coco, deeplabv3_mobilenet_v3_large,
                             lraspp_mobilenet_v3_large (.pth): torchvision_deeplabv3_resnet50, …
kazuto1011/deeplab-pytorch   VOC and COCO-Stuff (.pth): deeplabv2_resnet101_aspp, which then needs align_corners=False
                             (`atrous segment --half-pixel`)
isht7/pytorch-deeplab-resnet, speedinghzl/Pytorch-Deeplab, hfslyc/AdvSemiSeg (.pth): deeplabv2_resnet101_aspp; where
                             the code adds up two of the four branches (wasidennis/AdaptSegNet), with rates=(6, 12)
VainF/DeepLabV3Plus-Pytorch  ResNets, MobileNetV2 (.pth): vainf_deeplabv3_resnet50, _resnet101, _mobilenet,
                             vainf_deeplabv3plus_…, v3+ with separable convolutions too; files trained at output stride
                             8 need output_stride=8
segmentation_models.pytorch  DeepLabV3, DeepLabV3Plus on ResNets (.pth): smp_deeplabv3_resnet18, 34, 50, 101 and
                             smp_deeplabv3plus_…; output_stride and rates must be given if they are not its defaults
mmsegmentation               deeplabv3 and deeplabv3plus on r50-d8, r101-d8 (.pth): mmseg_deeplabv3_resnet50, …
jfzhang95/pytorch-deeplab-xception   ResNet-101, Xception (.pth): jfzhang_deeplabv3plus_resnet101, _xception; files
                             trained at output stride 8 need output_stride=8
DeepLab's authors            v1 and v2 (.caffemodel): deeplabv1_largefov, deeplabv2_vgg16_…, deeplabv2_resnet101_aspp
torchvision                  vgg16, resnet50, resnet101, mobilenet_v2, mobilenet_v3_large (.pth): start networks on the
                             same backbone with `from_classifier`

`atrous weights show` recognises them, and names the project of some that do not fit. Networks and readers were checked
against PyTorch with random weights; no released file was available.
"""
